/// Asks `condition` every `interval` until it holds.
///
/// - Throws: `timedOut` with `what` after `limit`, `cancelled` when the task is, and what `condition` throws.
func wait(
    for what: @autoclosure () -> String, within limit: Duration, every interval: Duration = .milliseconds(20),
    hint: String? = nil, until condition: () async throws(LabError) -> Bool
) async throws(LabError) {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < deadline else {
            throw LabError(.timedOut, "\(what()) did not happen within \(limit).", hint: hint)
        }
        do { try await Task.sleep(for: interval) } catch { throw LabError(.cancelled, "Waiting was cancelled.") }
    }
}
