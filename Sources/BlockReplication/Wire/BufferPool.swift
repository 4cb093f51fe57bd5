import Foundation

/// A buffer out of a pool; whoever took it or was handed it is its only user until it is given back.
struct PoolBuffer: @unchecked Sendable {  // used by one thread at a time: its holder
    let base: UnsafeMutableRawPointer
    let capacity: Int

    /// The first `count` bytes.
    func bytes(_ count: Int) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }
}

/// A fixed number of equal buffers in one piece of memory: what bounds the memory of a transfer.
final class BufferPool: @unchecked Sendable {  // `free` is guarded by `condition`
    let bufferSize: Int
    private let slab: UnsafeMutableRawPointer
    private let condition = NSCondition()
    private var free: [PoolBuffer] = []

    /// Makes `count` buffers of `bufferSize` bytes each, aligned to pages; memory is touched only when used.
    init(count: Int, bufferSize: Int) {
        self.bufferSize = bufferSize
        slab = .allocate(byteCount: count * bufferSize, alignment: 4096)
        for index in (0..<count).reversed() {
            free.append(PoolBuffer(base: slab + index * bufferSize, capacity: bufferSize))
        }
    }

    deinit { slab.deallocate() }

    /// Takes a buffer when one is free.
    func takeIfFree() -> PoolBuffer? {
        condition.lock()
        defer { condition.unlock() }
        return free.popLast()
    }

    /// Takes a buffer, waiting for one; throws the interrupt's reason.
    func take(_ interrupt: Interrupt) throws -> PoolBuffer {
        condition.lock()
        defer { condition.unlock() }
        while true {
            try interrupt.check()
            if let buffer = free.popLast() { return buffer }
            condition.wait()
        }
    }

    func giveBack(_ buffer: PoolBuffer) {
        condition.lock()
        free.append(buffer)
        condition.signal()
        condition.unlock()
    }

    /// Wakes a waiting `take`, so that it looks at its interrupt.
    func wake() {
        condition.lock()
        condition.broadcast()
        condition.unlock()
    }
}
