package parser

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// quoteFollows tells whether lines begin with a quoted one, blank ones before it
// left aside.
func quoteFollows(lines []string) bool {
	for _, line := range lines[:min(len(lines), 4)] {
		if strings.TrimSpace(line) != "" {
			return isQuoted(line)
		}
	}
	return false
}

// maxAttribution bounds the lines that introduce a quote, and maxAttributionSize
// their octets.
const (
	maxAttribution     = 5
	maxAttributionSize = 700
)

// attribution tells how many lines at the beginning of lines introduce a quote:
// "On Tue, 24 Nov 2026 at 10:00, Ada Byron <ada@example.com> wrote:".
func attribution(lines []string) int {
	first := lines[0]
	if len(first) > maxAttributionSize {
		return 0
	}
	first = trimMark(first)
	if first == "" {
		return 0
	}
	lead := hasLead(first) && hasDigit(first)
	if !lead && !strings.HasSuffix(first, ":") && !strings.HasSuffix(first, "：") {
		return 0
	}
	if isAttribution(first, lines[1:]) {
		return 1
	}
	if !lead {
		return 0
	}
	joined := first
	for n, line := range lines[1:min(len(lines), maxAttribution)] {
		line = trimMark(line)
		if line == "" || len(joined)+len(line) > maxAttributionSize {
			return 0
		}
		joined += " " + line
		if isAttribution(joined, lines[n+2:]) {
			return n + 2
		}
	}
	return 0
}

// trimMark takes off the marks that turn the direction of text, and the stars of
// bold text.
func trimMark(s string) string {
	if s != "" && standsForItself(s[0]) && standsForItself(s[len(s)-1]) {
		return s
	}
	return strings.TrimFunc(s, func(r rune) bool { return r == '*' || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) })
}

// standsForItself tells the octets trimMark leaves where they are.
func standsForItself(c byte) bool { return c > ' ' && c < 0x7f && c != '*' }

// leads are how the introductions of many programs begin.
var leads = []string{
	"on ", "at ", "am ", "den ", "le ", "el ", "em ", "no dia ", "il ", "op ", "w dniu ", "dnia ", "dne ", "dňa ", "vào ", "pada ", "în ", "pe ", "στις ", "στις ",
	"kl ", "le:", "в ", "у ", "ved ", "a ", "ti ", "ma ", "ke ", "to ", "pe ", "la ", "su ", "zo ", "wt.", "pon.", "śr.", "czw.", "pt.", "sob.", "niedz.",
	"пн", "вт", "ср", "чт", "пт", "сб", "вс", "בתאריך", "ב-", "في ", "dnia", "dana ", "u ", "dňa",
}

// asciiLeads are the leads of ASCII letters by the first, and leadPairs the two
// octets any lead begins with.
var asciiLeads, leadPairs = func() (by [128][]string, pairs [256][256]bool) {
	for _, lead := range leads {
		if isASCII(lead) {
			by[lead[0]] = append(by[lead[0]], lead)
		}
		pairs[lead[0]][lead[1]] = true
	}
	return by, pairs
}()

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func hasLead(line string) bool {
	if c := line[0]; c >= '0' && c <= '9' {
		return true
	}
	// Two ASCII letters that begin no lead settle it for most lines.
	if len(line) < 2 || line[0]|line[1] < utf8.RuneSelf && !leadPairs[line[0]|0x20][line[1]] && !leadPairs[line[0]|0x20][line[1]|0x20] {
		return false
	}
	head := clip(line, 40)
	if head == "" { // no text, but octets that never begin a character
		return false
	}
	if isASCII(head) {
		return slices.ContainsFunc(asciiLeads[head[0]|0x20], func(lead string) bool {
			return len(head) >= len(lead) && strings.EqualFold(head[:len(lead)], lead)
		})
	}
	low := strings.ToLower(head)
	return slices.ContainsFunc(leads, func(lead string) bool { return strings.HasPrefix(low, lead) })
}

// wrote are the verbs of the introductions.
var wrote = []string{
	"wrote", "writes", "schrieb", "a écrit", "écrit", "escribió", "escribio", "escreveu", "ha scritto", "scrive", "schreef", "geschreven", "napisał", "pisze",
	"skrev", "kirjoitti", "написал", "пишет", "написав", "пише", "napsal", "napísal", "napisao", "napisala", "írta", "yazdı", "yazmış", "a scris", "έγραψε", "写道", "寫道",
	"のメール", "さんは書きました", "작성", "썼습니다", "đã viết", "menulis", "va escriure", "כתב", "كتب", "je napisao", "rašė", "kirjutas", "rakstīja", "skrifaði",
}

// isAttribution tells whether a line introduces a quote: it ends in a colon and
// has the verb, or a date and an address before a line that is quoted.
func isAttribution(line string, after []string) bool {
	open := !strings.HasSuffix(line, ":") && !strings.HasSuffix(line, "：")
	address := strings.Contains(line, "@")
	if open {
		// 2026/11/24 Ada Byron <ada@example.com>
		return address && strings.HasSuffix(line, ">") && hasLead(line) && hasDigit(line) && quoteFollows(after) && len(line) < 200
	}
	if strings.HasSuffix(line, "):") && strings.Contains(line, "ezt írta") {
		return true
	}
	dated, quoted := hasYear(line) || hasClock(line), quoteFollows(after)
	if !quoted && (!dated || !address && !hasLead(line)) {
		return false
	}
	low := strings.ToLower(line)
	verb := slices.ContainsFunc(wrote, func(v string) bool { return strings.Contains(low, v) })
	switch {
	case verb && dated:
		return true
	case verb:
		return strings.Count(line, " ") < 20
	}
	return address && dated && quoted
}

func hasDigit(s string) bool {
	for i := range len(s) {
		if isDigit(s[i]) {
			return true
		}
	}
	return false
}

// hasYear tells whether s has a number of four digits that may be a year.
func hasYear(s string) bool {
	run := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] >= '0' && s[i] <= '9' {
			run++
			continue
		}
		if run == 4 && (s[i-4:i-2] == "19" || s[i-4:i-2] == "20") {
			return true
		}
		run = 0
	}
	return false
}

// hasClock tells whether s has a time of day, 10:05.
func hasClock(s string) bool {
	for i := 1; i+2 < len(s); i++ {
		if (s[i] == ':' || s[i] == '.') && isDigit(s[i-1]) && isDigit(s[i+1]) && isDigit(s[i+2]) {
			return true
		}
	}
	return false
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// originals are the words between dashes above a mail that follows whole.
var originals = []string{
	"original message", "original appointment", "reply message", "original-nachricht", "ursprüngliche nachricht", "urspruengliche nachricht", "originalnachricht",
	"message d'origine", "message d’origine", "message original", "mensaje original", "mensagem original", "messaggio originale", "oorspronkelijk bericht", "origineel bericht",
	"originalmeddelande", "ursprungligt meddelande", "oprindelig meddelelse", "original meddelelse", "opprinnelig melding", "alkuperäinen viesti", "wiadomość oryginalna",
	"oryginalna wiadomość", "původní zpráva", "pôvodná správa", "eredeti üzenet", "исходное сообщение", "оригинальное сообщение", "вихідне повідомлення", "orijinal mesaj",
	"özgün ileti", "mesaj original", "αρχικό μήνυμα", "原始邮件", "原始郵件", "原邮件", "元のメッセージ", "원본 메시지", "원본 메일",
	"forwarded message", "forwarded by", "weitergeleitete nachricht", "message transféré", "message transmis", "mensaje reenviado", "mensagem encaminhada", "messaggio inoltrato",
	"doorgestuurd bericht", "vidarebefordrat meddelande", "videresendt meddelelse", "videresendt melding", "välitetty viesti", "przekazana wiadomość", "přeposlaná zpráva",
	"пересылаемое сообщение", "переслане повідомлення", "iletilen mesaj", "転送メッセージ", "转发的邮件", "轉寄郵件", "전달된 메시지",
}

// openings stand alone above a mail that follows whole.
var openings = []string{
	"begin forwarded message:", "anfang der weitergeleiteten nachricht:", "début du message réexpédié", "début du message transféré", "inicio del mensaje reenviado:",
	"inizio messaggio inoltrato:", "início da mensagem reencaminhada:", "begin doorgestuurd bericht:", "vidarebefordrat brev:", "начало переадресованного сообщения:",
	"началo переадресованного", "転送されたメッセージ:", "下面是被转发的邮件：",
}

// aboveThisLine is what ticket systems ask for: "reply above this line".
const aboveThisLine = "above this line"

// restIsQuoted tells whether lines begin with what stands above a quoted mail
// that goes to the end.
func restIsQuoted(lines []string, above bool) bool {
	line := strings.TrimSpace(lines[0])
	if line == "" || len(line) > 300 {
		return false
	}
	if c := line[0]; c != '-' && c != '_' && c != '=' && c != '*' && c < utf8.RuneSelf && strings.IndexByte(line, ':') < 0 && !above {
		return false
	}
	if rest := strings.TrimLeft(line, "-_=*–—"); rest != line {
		rest = strings.TrimLeft(rest, "-_=*–— ")
		words := strings.ToLower(strings.TrimRight(rest, "-_=*–— :"))
		if words != "" && len(line)-len(rest) >= 2 && slices.ContainsFunc(originals, func(o string) bool { return strings.HasPrefix(words, o) && len(words) < len(o)+60 }) {
			return true
		}
		if words == "" && len(line) >= 10 { // a rule above the block
			for i := 1; i < min(len(lines), 4); i++ {
				if strings.TrimSpace(lines[i]) != "" {
					return headerBlock(lines[i:])
				}
			}
			return false
		}
	}
	if strings.HasSuffix(line, ":") || strings.HasSuffix(line, "：") {
		low := strings.ToLower(line)
		if slices.ContainsFunc(openings, func(o string) bool { return strings.HasPrefix(low, o) }) {
			return true
		}
	}
	if i := strings.Index(line, aboveThisLine); i > 0 && (strings.Contains(line[:i], "reply") || strings.Contains(line[:i], "write")) {
		return true
	}
	return headerBlock(lines)
}

// blockKeys are the names of fields in such a block, in the languages of Outlook.
var (
	blockFrom = keys("from von de da van från fra lähettäjä od kimden gönderen от від 发件人 寄件者 差出人 送信者 feladó από expéditeur remitente", "от кого", "보낸 사람", "보낸사람", "de la")
	blockRest = keys("sent date gesendet datum envoyé enviado fecha data inviato verzonden skickat sendt lähetetty wysłano odesláno odeslané отправлено дата надіслано gönderme tarih küldve elküldve "+
		"发送时间 日期 寄件日期 送信日時 日時 enviada "+
		"to an à para a aan till til vastaanottaja do komu кому kime 收件人 收件者 宛先 címzett προς destinataire destinatario "+
		"subject betreff objet asunto assunto oggetto onderwerp ämne emne aihe temat předmět тема konu 主题 主旨 件名 tárgy θέμα cc kopie "+
		"reply-to", "enviado el", "enviado em", "gönderme tarihi", "보낸 날짜", "보낸날짜", "받는 사람", "받는사람", "제목", "sent by", "envoyé le")
)

func keys(words string, more ...string) map[string]bool {
	set := map[string]bool{}
	for _, w := range append(strings.Fields(words), more...) {
		set[w] = true
	}
	return set
}

// headerBlock tells whether lines begin with From and two more fields of a mail.
func headerBlock(lines []string) bool {
	if !blockFrom[blockKey(lines[0])] {
		return false
	}
	more := 0
	for _, line := range lines[1:min(len(lines), 9)] {
		if blockRest[blockKey(line)] {
			more++
		}
	}
	return more >= 2
}

// blockKey is the name before the colon, small; "" where there is none.
func blockKey(line string) string {
	head := line[:min(len(line), 80)]
	i := strings.IndexByte(head, ':')
	if i < 0 {
		i = strings.Index(head, "：")
	}
	if i <= 0 {
		return ""
	}
	return strings.ToLower(strings.Trim(line[:i], "* \u00a0\t"))
}
