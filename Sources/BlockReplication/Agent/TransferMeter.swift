import SiteModel
import Synchronization

/// Counts what a transfer has done, and reports it a few times a second.
final class TransferMeter: Sendable {
    private struct State {
        var done: UInt64 = 0
        var total: UInt64 = 0
        var sent: UInt64 = 0
        var scanned: UInt64 = 0
        var reportedAt: ContinuousClock.Instant
    }

    private let start = ContinuousClock.now
    private let state: Mutex<State>
    private let report: @Sendable (TransferProgress) -> Void

    init(report: @escaping @Sendable (TransferProgress) -> Void) {
        self.report = report
        state = Mutex(State(reportedAt: start))
    }

    /// More bytes of disk are to be looked at or sent.
    func expect(_ bytes: UInt64) { update { $0.total += bytes } }

    /// Bytes were hashed.
    func scanned(_ bytes: UInt64) {
        update {
            $0.done += bytes
            $0.scanned += bytes
        }
    }

    /// Bytes were read and have left; `sent` of them as content.
    func moved(_ bytes: UInt64, sent: UInt64) {
        update {
            $0.done += bytes
            $0.scanned += bytes
            $0.sent += sent
        }
    }

    var seconds: Double { (ContinuousClock.now - start) / .seconds(1) }

    /// Content bytes sent and bytes looked at.
    var totals: (sent: UInt64, scanned: UInt64) { state.withLock { ($0.sent, $0.scanned) } }

    /// Reports where the transfer stands now.
    func reportNow() {
        let progress = state.withLock { snapshot($0) }
        report(progress)
    }

    private func update(_ change: (inout State) -> Void) {
        let now = ContinuousClock.now
        let progress = state.withLock { state -> TransferProgress? in
            change(&state)
            guard now - state.reportedAt > .milliseconds(250) else { return nil }
            state.reportedAt = now
            return snapshot(state)
        }
        if let progress { report(progress) }
    }

    private func snapshot(_ state: State) -> TransferProgress {
        TransferProgress(
            done: state.done, total: state.total, bytesPerSecond: Double(state.done) / max(seconds, 0.001))
    }
}
