import Dispatch
import Glibc

/// Ctrl-C and SIGTERM end a command's work in good order; a second one ends the process at once.
enum Interruption {
    /// Runs `body` in a task that a signal cancels.
    ///
    /// - Returns: what the body returned, and whether a signal came.
    static func cancelling<Value: Sendable>(
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> (value: Value, interrupted: Bool) {
        let work = Task { try await body() }
        let sources = watch([SIGINT, SIGTERM]) {
            if work.isCancelled {
                Terminal.complain("interrupted")
                exit(Failure.interrupted)
            }
            work.cancel()
        }
        defer { for source in sources { source.cancel() } }
        let value = try await work.value
        return (value, work.isCancelled)
    }

    /// Calls `body` at each of these signals, which no longer end the process; until the sources are cancelled.
    static func watch(_ signals: [Int32], _ body: @escaping @Sendable () -> Void) -> [any DispatchSourceSignal] {
        signals.map { number in
            // Dispatch only looks on: the signal's own effect is taken away here and given back at the end.
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number)
            source.setEventHandler(handler: body)
            source.setCancelHandler { signal(number, SIG_DFL) }
            source.resume()
            return source
        }
    }
}
