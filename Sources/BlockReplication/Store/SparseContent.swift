internal import Glibc

/// What a file holds apart from its holes: the same after any copy, whether the medium knows holes or not.
enum SparseContent {
    /// Content is looked at in blocks of so many bytes; one of zeros counts as a hole.
    private static let blockSize = 1 << 16

    /// A checksum (XXH3 of 128 bits, in hexadecimal) over the length and over place and content of every block that is not zero.
    static func checksum(of path: String) throws -> String {
        try pass(path) { _, _ in }
    }

    /// Copies a file without its zeros, flushes the copy and returns the checksum of what was read.
    static func copy(_ path: String, to copy: String) throws -> String {
        let target = try ImageFile(creating: copy)
        let length = try ImageFile(reading: path).length()
        try target.truncate(to: length)
        let checksum = try pass(path) { try target.write($0, at: $1) }
        try target.sync()
        return checksum
    }

    private static func pass(
        _ path: String, _ body: (UnsafeRawBufferPointer, UInt64) throws -> Void
    ) throws -> String {
        let file = try ImageFile(reading: path)
        let length = try file.length()
        let checksum = RunningChecksum()
        withUnsafeBytes(of: length.littleEndian) { checksum.update($0) }
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: blockSize, alignment: 4096)
        defer { block.deallocate() }
        var offset = try file.nextData(from: 0) ?? length
        while offset < length {
            let start = offset / UInt64(blockSize) * UInt64(blockSize)
            let count = Int(min(UInt64(blockSize), length - start))
            let part = UnsafeMutableRawBufferPointer(rebasing: block[..<count])
            try file.read(into: part, at: start)
            if !isZero(UnsafeRawBufferPointer(part)) {
                withUnsafeBytes(of: start.littleEndian) { checksum.update($0) }
                checksum.update(UnsafeRawBufferPointer(part))
                try body(UnsafeRawBufferPointer(part), start)
            }
            offset = try file.nextData(from: start + UInt64(count)) ?? length
        }
        return checksum.value.hexadecimal
    }
}
