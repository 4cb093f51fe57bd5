import Glibc
import Synchronization

/// The one way to stop a transfer's threads: the first reason given is kept, and whoever waits is woken.
///
/// A thread that waits in poll(2) puts `descriptor` beside its own; a thread that waits on a condition registers a
/// wake-up.
final class Interrupt: Sendable {
    private struct State {
        var reason: (any Error)?
        var wakeUps: [@Sendable () -> Void] = []
        var dependents: [Dependent] = []
    }

    /// An interrupt that is triggered with this one; it may go before.
    private struct Dependent {
        weak var interrupt: Interrupt?
    }

    /// Becomes readable when the interrupt is triggered, and stays so.
    let descriptor: Int32
    private let waker: Int32
    private let state = Mutex(State())

    /// Makes an interrupt that nobody has triggered; throws when no descriptor is left.
    init() throws {
        var pair: (Int32, Int32) = (-1, -1)
        let status = withUnsafeMutableBytes(of: &pair) {
            socketpair(
                AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0,
                $0.assumingMemoryBound(to: Int32.self).baseAddress)
        }
        guard status == 0 else { throw ReplicationError.system("making a wake-up descriptor", errno: errno) }
        (descriptor, waker) = pair
    }

    deinit {
        close(descriptor)
        close(waker)
    }

    /// Stops everything that heeds this interrupt; a later reason than the first is dropped.
    func trigger(_ reason: any Error) {
        let (wakeUps, dependents) = state.withLock { state -> ([@Sendable () -> Void], [Dependent]) in
            guard state.reason == nil else { return ([], []) }
            state.reason = reason
            defer {
                state.wakeUps = []
                state.dependents = []
            }
            return (state.wakeUps, state.dependents)
        }
        // The other end's hang-up stays readable for ever.
        shutdown(waker, Int32(SHUT_WR))
        for wakeUp in wakeUps { wakeUp() }
        for dependent in dependents { dependent.interrupt?.trigger(reason) }
    }

    /// Triggers `other` when this one is, or at once when it has been; keeps no hold of it.
    func pass(to other: Interrupt) {
        let already = state.withLock { state -> (any Error)? in
            if let reason = state.reason { return reason }
            state.dependents.removeAll { $0.interrupt == nil }
            state.dependents.append(Dependent(interrupt: other))
            return nil
        }
        if let already { other.trigger(already) }
    }

    /// Calls `wakeUp` once when the interrupt is triggered, or at once when it has been.
    func onTrigger(_ wakeUp: @escaping @Sendable () -> Void) {
        let already = state.withLock { state -> Bool in
            if state.reason != nil { return true }
            state.wakeUps.append(wakeUp)
            return false
        }
        if already { wakeUp() }
    }

    /// The first reason, when there is one.
    var reason: (any Error)? { state.withLock { $0.reason } }

    /// Throws the reason when the interrupt has been triggered.
    func check() throws {
        if let reason { throw reason }
    }
}

extension ReplicationError {
    /// The caller gave the transfer up.
    static var givenUp: ReplicationError {
        ReplicationError(
            .cancelled, "the transfer was given up by its caller",
            hint: "nothing of it counts as a point; start the cycle again when wanted")
    }
}
