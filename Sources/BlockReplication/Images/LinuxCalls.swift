internal import Glibc

// Calls that glibc declares only for _GNU_SOURCE, which Swift's Glibc module leaves undefined. All arguments are plain
// integers and pointers, for which Swift's calling convention is C's.

/// fallocate(2).
@_silgen_name("fallocate")
func linuxFallocate(_ descriptor: Int32, _ mode: Int32, _ offset: off_t, _ length: off_t) -> Int32

/// copy_file_range(2).
@_silgen_name("copy_file_range")
func linuxCopyFileRange(
    _ source: Int32, _ sourceOffset: UnsafeMutablePointer<off_t>, _ target: Int32,
    _ targetOffset: UnsafeMutablePointer<off_t>, _ length: Int, _ flags: UInt32
) -> Int

/// sync_file_range(2); a length of 0 is to the end of the file.
@_silgen_name("sync_file_range")
func linuxSyncFileRange(_ descriptor: Int32, _ offset: off_t, _ length: off_t, _ flags: UInt32) -> Int32

/// FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE of linux/falloc.h.
let linuxPunchHole: Int32 = 0x01 | 0x02

/// SEEK_DATA of linux/fs.h.
let linuxSeekData: Int32 = 3

/// SYNC_FILE_RANGE_WRITE of linux/fs.h.
let linuxStartWriting: UInt32 = 2
