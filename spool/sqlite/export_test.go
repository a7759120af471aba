package sqlite

// OpenWith is Open with another value of PRAGMA synchronous.
var OpenWith = open
