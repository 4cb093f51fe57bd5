import Glibc

/// A file of figures for a collector that reads files: always whole, because it is written beside and renamed.
package struct MetricsFile: Sendable {
    package let path: String

    package init(path: String) {
        self.path = path
    }

    /// - Throws: `EngineError` of kind `failed` when the file cannot be written; what was there stays.
    package func write(_ text: String) throws {
        let draft = "\(path).\(getpid()).new"
        // A file, a link even, that somebody has put there is not written through.
        unlink(draft)
        let file = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw failure() }
        let isWritten = writeAll(Array(text.utf8), to: file)
        let reason = errno
        close(file)
        guard isWritten, rename(draft, path) == 0 else {
            if !isWritten { errno = reason }
            let error = failure()
            unlink(draft)
            throw error
        }
    }

    private func failure() -> EngineError {
        EngineError(
            .failed, "the file of figures \(path) cannot be written: \(lastSystemError())",
            hint: "name a file in a folder that exists and that this user may write", object: path)
    }
}

extension Duty {
    /// Writes all figures to a file every 15 s.
    package static func writeMetrics(to file: MetricsFile, gauge: ReplicatorGauge) -> Duty {
        Duty("write-metrics", every: 15) { engine in
            try file.write(try await engine.metrics(scheduler: gauge.figures))
        }
    }
}
