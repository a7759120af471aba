// Package powercut shows what a power cut leaves on a disk. It records, with
// strace, what a program does to the files below a folder, and makes of the
// record images of that folder as a disk may hold it after a cut at any moment:
//
//   - a write that no later fsync of its file covers is there or not, and each of
//     its sectors of 512 octets by itself: writes are torn, and lost out of order;
//   - so is a change of a file's length;
//   - a file made, renamed or removed is so, or is not yet, unless its folder was
//     synced since.
//
// A record holds what the program wrote to standard output and error too: what it said
// before a cut is what it had promised. So it does what was written to sockets.
//
// Killing a process shows none of this: the kernel still has what it wrote.
package powercut
