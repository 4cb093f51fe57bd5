import Foundation
import TestSupport

#if canImport(Glibc)
import Glibc
#endif

/// A socket that accepts connections (the kernel does) and never says a word.
struct SilentListener {
    let path: String
    private let descriptor: Int32

    init(path: String) throws {
        self.path = path
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0, listen(descriptor, 64) == 0 else { throw POSIXError(.EIO) }
    }

    func close() { _ = Glibc.close(descriptor) }
}

/// Runs a program and returns what it printed; throws when it fails.
func run(_ program: String, _ arguments: [String]) throws -> String {
    let words = [program] + arguments
    let result = try Program.run(words)
    guard result.status == 0 else { throw ProgramFailed(words: words, said: result.output + result.errors) }
    return result.output + result.errors
}

/// Waits until `condition` holds; false when it does not within `limit`.
func eventually(within limit: Duration = .seconds(120), _ condition: () async throws -> Bool) async rethrows -> Bool {
    let end = ContinuousClock.now + limit
    while ContinuousClock.now < end {
        if try await condition() { return true }
        try? await Task.sleep(for: .milliseconds(20))
    }
    return false
}
