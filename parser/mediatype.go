package parser

import (
	"path"
	"strings"
)

// knownTypes are usual extensions and their media types. The table is our own,
// since the system's differs from machine to machine, and an event is to be the
// same everywhere.
var knownTypes = [...]struct{ ext, mediaType string }{
	{".eml", "message/rfc822"}, {".eml", "message/global"}, {".txt", "text/plain"}, {".html", "text/html"}, {".htm", "text/html"},
	{".csv", "text/csv"}, {".ics", "text/calendar"}, {".ics", "application/ics"}, {".vcf", "text/vcard"}, {".vcf", "text/x-vcard"}, {".md", "text/markdown"},
	{".xml", "application/xml"}, {".xml", "text/xml"}, {".json", "application/json"}, {".js", "text/javascript"}, {".css", "text/css"},
	{".jpg", "image/jpeg"}, {".jpeg", "image/jpeg"}, {".jpg", "image/jpg"}, {".png", "image/png"}, {".gif", "image/gif"}, {".webp", "image/webp"}, {".svg", "image/svg+xml"},
	{".bmp", "image/bmp"}, {".tif", "image/tiff"}, {".heic", "image/heic"}, {".pdf", "application/pdf"}, {".rtf", "application/rtf"},
	{".zip", "application/zip"}, {".gz", "application/gzip"}, {".tar", "application/x-tar"}, {".7z", "application/x-7z-compressed"},
	{".doc", "application/msword"}, {".xls", "application/vnd.ms-excel"}, {".ppt", "application/vnd.ms-powerpoint"},
	{".docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
	{".xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
	{".pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
	{".odt", "application/vnd.oasis.opendocument.text"}, {".ods", "application/vnd.oasis.opendocument.spreadsheet"},
	{".mp3", "audio/mpeg"}, {".wav", "audio/wav"}, {".ogg", "audio/ogg"}, {".mp4", "video/mp4"}, {".mov", "video/quicktime"},
	{".p7s", "application/pkcs7-signature"}, {".p7s", "application/x-pkcs7-signature"}, {".p7m", "application/pkcs7-mime"}, {".p7m", "application/x-pkcs7-mime"},
	{".asc", "application/pgp-signature"}, {".asc", "application/pgp-keys"}, {".dat", "application/ms-tnef"},
}

// extension is a usual extension for a media type.
func extension(mediaType string) string {
	for _, k := range knownTypes {
		if k.mediaType == mediaType {
			return k.ext
		}
	}
	return ".bin"
}

// typeOfName is the media type a file name suggests.
func typeOfName(name string) string {
	ext := strings.ToLower(path.Ext(name))
	for _, k := range knownTypes {
		if k.ext == ext {
			return k.mediaType
		}
	}
	return "application/octet-stream"
}
