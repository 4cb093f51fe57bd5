import Dispatch
import Glibc

/// Ctrl-C and SIGTERM end a command's work in good order; a second one ends the process at once.
enum Interruption {
    static func cancelling(_ body: @escaping @Sendable () async throws -> Void) async throws {
        let work = Task { try await body() }
        let sources = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number)
            source.setEventHandler {
                if work.isCancelled { exit(Failure.interrupted) }
                work.cancel()
            }
            source.resume()
            return source
        }
        defer { for source in sources { source.cancel() } }
        do { try await work.value } catch is CancellationError where work.isCancelled { return }
    }
}
