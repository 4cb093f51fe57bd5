import Foundation
import Synchronization

/// Says when a leg has gone far enough: after its time, or when the scratch space of the backup it reads is half used.
final class LegWatch: Sendable {
    /// How often the scratch space is looked at: a guest may overwrite some hundred MB a second.
    private static let look = DispatchTimeInterval.milliseconds(50)

    private let limits: LegLimits
    private let store: String
    private let began = ContinuousClock.now
    private let ended = DispatchSemaphore(value: 0)
    private let renewedBytes = Mutex<UInt64>(0)

    init(_ limits: LegLimits, store: String) {
        self.limits = limits
        self.store = store
    }

    /// Content bytes sent for places that earlier legs had brought over.
    var renewed: UInt64 { renewedBytes.withLock { $0 } }

    func noteRenewed(_ bytes: UInt64) { renewedBytes.withLock { $0 += bytes } }

    /// Whether a disk that began with what lies beyond its frontier at `onward` goes no further in this leg.
    func isOver(onward: ContinuousClock.Instant) -> Bool {
        let now = ContinuousClock.now
        if now - began >= .seconds(limits.seconds), now - onward >= .seconds(limits.seconds / 4) { return true }
        return isScratchUsed
    }

    /// Whether so much of the scratch space is used that the leg goes no further.
    var isScratchUsed: Bool { limits.endBelow > 0 && freeBytes < limits.endBelow }

    /// Ends the transfer when scratch space is all but used up, so that the backup can end before the guest's writes fail.
    ///
    /// Looks on a thread of its own, for a file system that does not answer would hold it up, until `end()`.
    func stopWhenScratchRunsOut(_ interrupts: [Interrupt]) {
        guard limits.abortBelow > 0 else { return }
        let thread = Thread { [self] in
            while ended.wait(timeout: .now() + Self.look) == .timedOut {
                guard freeBytes < limits.abortBelow else { continue }
                let error = ReplicationError(
                    .noScratch, "scratch space at the source ran low: the leg was ended",
                    hint: "free space below \(store); the guest was not harmed")
                for interrupt in interrupts { interrupt.trigger(error) }
                return
            }
        }
        thread.name = "agent-scratch"
        thread.start()
    }

    /// Lets the looking end.
    func end() { ended.signal() }

    /// What is free where scratch files lie; a store that cannot be asked is no reason to stop.
    private var freeBytes: UInt64 {
        var space = statvfs()
        guard statvfs(store, &space) == 0 else { return .max }
        return UInt64(space.f_bavail) * UInt64(space.f_frsize)
    }
}
