import CNBD
import Foundation

/// Reads ranges of an export into nothing: 256 KiB a request, sixteen under way, two connections; nothing is quicker through
/// QEMU's server.
enum ExportReader {
    static func read(_ uri: String, _ ranges: [Range<UInt64>]) async throws {
        let requests = ranges.flatMap { range in
            stride(from: range.lowerBound, to: range.upperBound, by: 256 << 10).map {
                $0..<min($0 + 256 << 10, range.upperBound)
            }
        }
        let half = requests.count / 2
        try await withThrowingTaskGroup(of: Void.self) { group in
            for part in [requests[..<half], requests[half...]] {
                group.addTask {
                    try await withCheckedThrowingContinuation { continuation in
                        Thread.detachNewThread {
                            continuation.resume(with: Result { try readPart(uri, Array(part)) })
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private static func readPart(_ uri: String, _ requests: [Range<UInt64>]) throws {
        guard let handle = nbd_create() else { throw BenchError("libnbd gives no handle") }
        defer { nbd_close(handle) }
        func failure() -> BenchError { BenchError(nbd_get_error().map { String(cString: $0) } ?? "libnbd failed") }
        guard nbd_connect_uri(handle, uri) == 0 else { throw failure() }
        let buffers = (0..<16).map { _ in UnsafeMutableRawPointer.allocate(byteCount: 256 << 10, alignment: 4096) }
        defer { for buffer in buffers { buffer.deallocate() } }
        var cookies = [Int64](repeating: 0, count: buffers.count)
        var (next, open) = (0, 0)
        while next < requests.count || open > 0 {
            for slot in cookies.indices where cookies[slot] == 0 && next < requests.count {
                let range = requests[next]
                let cookie = nbd_aio_pread(
                    handle, buffers[slot], range.count, range.lowerBound, nbd_completion_callback(), 0)
                guard cookie > 0 else { throw failure() }
                cookies[slot] = cookie
                next += 1
                open += 1
            }
            guard nbd_poll(handle, -1) >= 0 else { throw failure() }
            for slot in cookies.indices where cookies[slot] != 0 {
                let state = nbd_aio_command_completed(handle, UInt64(cookies[slot]))
                guard state >= 0 else { throw failure() }
                if state > 0 {
                    cookies[slot] = 0
                    open -= 1
                }
            }
        }
        nbd_shutdown(handle, 0)
    }
}
