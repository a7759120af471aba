package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// oldest is the first SQLite without the bug that corrupts a database when two
// connections write to and checkpoint its log at once (fixed in 3.51.3).
var oldest = [3]int{3, 51, 3}

// checkSettings reads back, through every connection, what the database says it
// does, and refuses one that does less.
func (s *Store) checkSettings(ctx context.Context, synchronous string) error {
	want := [][2]string{
		{"journal_mode", "wal"},
		{"synchronous", map[string]string{"FULL": "2", "NORMAL": "1"}[synchronous]},
		{"mmap_size", "0"},
		{"wal_autocheckpoint", "0"},
		{"secure_delete", "1"},
	}
	var conns []*sql.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close() // back to the pool
		}
	}()
	for range readers {
		c, err := s.reader.Conn(ctx)
		if err != nil {
			return err
		}
		conns = append(conns, c)
	}
	all := conns
	if s.conn != nil {
		all = append([]*sql.Conn{s.conn}, conns...)
	}
	for _, c := range all {
		for _, w := range want {
			is, err := pragma(ctx, c, w[0])
			if err != nil {
				return err
			}
			if is != w[1] {
				return fmt.Errorf("the database has %s=%s instead of %s", w[0], is, w[1])
			}
		}
	}
	s.settings = nil
	for _, name := range []string{"journal_mode", "synchronous", "auto_vacuum", "secure_delete", "mmap_size"} {
		is, err := pragma(ctx, all[0], name)
		if err != nil {
			return err
		}
		s.settings = append(s.settings, name+"="+is)
	}
	version, err := version(ctx, all[0])
	s.settings = append(s.settings, "sqlite_version="+version)
	return err
}

func pragma(ctx context.Context, c *sql.Conn, name string) (value string, err error) {
	err = c.QueryRowContext(ctx, "PRAGMA "+name).Scan(&value)
	return value, err
}

func version(ctx context.Context, c *sql.Conn) (string, error) {
	var v string
	if err := c.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&v); err != nil {
		return "", err
	}
	if older(v) {
		return v, errors.New("SQLite " + v + " can corrupt its log; at least 3.51.3 is needed")
	}
	return v, nil
}

func older(version string) bool {
	parts := strings.Split(version, ".")
	for i, least := range oldest {
		n := 0
		if i < len(parts) {
			n, _ = strconv.Atoi(parts[i]) // what is no number is older
		}
		if n != least {
			return n < least
		}
	}
	return false
}
