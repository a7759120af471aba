package mailtest

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// mailOwner is the system user mail files belong to, and the users Dovecot's
// own processes run as.
type mailOwner struct {
	uid, gid               int
	login, internal, group string
}

// prepare makes the folders, the certificate and the empty passwd-file, and
// decides who owns what. Dovecot refuses to read mail as root and to show root
// to the network, so for root the mail belongs to nobody and the processes run
// as the users of Debian's package; for anyone else all is theirs.
func (d *Dovecot) prepare() (mailOwner, error) {
	o := mailOwner{uid: os.Getuid(), gid: os.Getgid()}
	if o.uid == 0 {
		u, err := user.Lookup("nobody")
		if err != nil {
			return o, err
		}
		o.uid, _ = strconv.Atoi(u.Uid)
		o.gid, _ = strconv.Atoi(u.Gid)
		o.login, o.internal, o.group = "dovenull", "dovecot", "dovecot"
	} else {
		u, err := user.Current()
		if err != nil {
			return o, err
		}
		g, err := user.LookupGroupId(u.Gid)
		if err != nil {
			return o, err
		}
		o.login, o.internal, o.group = u.Username, u.Username, g.Name
	}
	d.CAFile = d.path("ca.pem")
	if err := os.Chmod(d.dir, 0o755); err != nil {
		return o, err
	}
	for _, name := range []string{"run", "state", "mail"} {
		if err := os.Mkdir(d.path(name), 0o755); err != nil {
			return o, err
		}
	}
	if err := os.Chown(d.path("mail"), o.uid, o.gid); err != nil {
		return o, err
	}
	for name, text := range map[string][]byte{"ca.pem": d.CA.PEM, "cert.pem": d.CA.CertPEM, "key.pem": d.CA.KeyPEM, "users": nil} {
		if err := os.WriteFile(d.path(name), text, 0o644); err != nil {
			return o, err
		}
	}
	return o, nil
}

// config is the whole configuration. Nothing of the system's own is read.
func (d *Dovecot) config(extra []string) string {
	o := d.owner
	return strings.NewReplacer(
		"$dir", d.dir,
		"$uid", strconv.Itoa(o.uid), "$gid", strconv.Itoa(o.gid),
		"$login", o.login, "$internal", o.internal, "$group", o.group,
		"$imaps", strconv.Itoa(d.IMAPSPort), "$imap", strconv.Itoa(d.IMAPPort),
		"$pop3s", strconv.Itoa(d.POP3SPort), "$pop3", strconv.Itoa(d.POP3Port),
	).Replace(dovecotConf) + strings.Join(extra, "\n") + "\n"
}

// dovecotConf keeps processes alive between connections, lifts the limits on
// users, connections and memory, skips fsync (these mails are not worth one),
// answers a refused sign-in at once, and stores mail with CRLF so that the
// octets on disk are the octets served.
const dovecotConf = `
base_dir = $dir/run
state_dir = $dir/state
log_path = $dir/log
protocols = imap pop3
listen = 127.0.0.1
default_login_user = $login
default_internal_user = $internal
default_internal_group = $group
default_process_limit = 20000
default_client_limit = 40000
default_vsz_limit = 0
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
ssl = yes
ssl_cert = <$dir/cert.pem
ssl_key = <$dir/key.pem
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:$dir/mail/%u:UTF-8
mail_save_crlf = yes
mail_fsync = never
mail_max_userip_connections = 20000
mailbox_list_index = no
passdb {
  driver = passwd-file
  args = username_format=%u $dir/users
}
userdb {
  driver = static
  args = uid=$uid gid=$gid home=$dir/mail/%u
}
service auth {
  unix_listener auth-smtp {
    mode = 0666
  }
}
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service imap-login {
  chroot =
  service_count = 0
  process_min_avail = 1
  inet_listener imap {
    port = $imap
  }
  inet_listener imaps {
    port = $imaps
  }
}
service pop3-login {
  chroot =
  service_count = 0
  process_min_avail = 1
  inet_listener pop3 {
    port = $pop3
  }
  inet_listener pop3s {
    port = $pop3s
  }
}
service imap {
  service_count = 256
}
service pop3 {
  service_count = 256
}
protocol imap {
  mail_max_userip_connections = 20000
}
protocol pop3 {
  mail_max_userip_connections = 20000
}
`

// URL is what stands as server: in a configuration for one of the four
// schemes imap, imaps, pop3 and pop3s.
func (d *Dovecot) URL(scheme string) string {
	port := map[string]int{"imap": d.IMAPPort, "imaps": d.IMAPSPort, "pop3": d.POP3Port, "pop3s": d.POP3SPort}[scheme]
	return fmt.Sprintf("%s://%s:%d", scheme, d.Host, port)
}
