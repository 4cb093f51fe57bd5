/// A disk to read: which of its ranges hold data, and the data itself with many requests under way.
///
/// One thread uses a source at a time; its interrupt ends whatever it waits for.
protocol ExtentSource: AnyObject, Sendable {
    /// Size of the disk in bytes.
    var size: UInt64 { get }

    /// The given ranges, each part of them as data or zero. A part that may be a hole with unknown content is data.
    func allocation(of ranges: ExtentMap) throws -> ExtentMap

    /// What a dirty bitmap marks, as data. Throws `noUsableBitmap` when there is no usable one of that name.
    func changes(bitmap: String) throws -> ExtentMap

    /// Reads the data extents into buffers of the pool and hands each over, in any order; zero extents are passed by.
    /// Who gets a buffer gives it back to the pool.
    func read(_ extents: ExtentMap, pool: BufferPool, deliver: (FilledBuffer) throws -> Void) throws

    /// Lets go of connections, files and helper processes. Repeating it does nothing.
    func close()
}

/// A buffer that holds bytes of a disk.
struct FilledBuffer: Sendable {
    let buffer: PoolBuffer
    let offset: UInt64
    let count: Int

    var bytes: UnsafeRawBufferPointer { buffer.bytes(count) }
}

/// How a disk is read.
///
/// 256 KiB requests are the quickest through QEMU, 1 MiB ones lose a quarter to cache misses.
enum ReadShape {
    static let requestSize = 256 << 10
    static let connections = 2
    static let requestsPerConnection = 16
    /// Buffers of one disk's transfer: all requests under way, and as many again on their way to the network.
    static let buffers = 2 * connections * requestsPerConnection
}

/// Cuts data extents into requests that end at multiples of the request size, so that no block falls into two.
struct RequestIterator: IteratorProtocol {
    private let extents: ExtentMap
    private var index = 0
    private var offset: UInt64 = 0

    init(_ extents: ExtentMap) {
        self.extents = extents
    }

    mutating func next() -> ByteRange? {
        while index < extents.count {
            let extent = extents[index]
            if extent.isZero || offset >= extent.end {
                index += 1
                continue
            }
            let from = max(offset, extent.offset)
            let grid = UInt64(ReadShape.requestSize)
            let to = min(extent.end, (from / grid + 1) * grid)
            offset = to
            return ByteRange(offset: from, length: to - from)
        }
        return nil
    }
}
