import Foundation
import SiteModel
import Synchronization

/// Bytes that may leave now: filled at a rate, emptied by what is sent.
///
/// A piece may leave as soon as there is anything; what it takes beyond that, the next one waits for.
struct TokenBucket: Sendable {
    /// How much of a quiet time may be made up for, in seconds of the rate.
    static let burstSeconds = 0.25
    private var balance = 0.0
    private var filledAt: Double?

    /// Takes `bytes` at an instant, in seconds of a clock that never goes back; else says how many seconds to wait before
    /// asking again.
    mutating func take(_ bytes: Int, rate: UInt64?, at now: Double) -> Double? {
        guard let rate else {
            // What was owed under a limit is not owed without one.
            (balance, filledAt) = (0, now)
            return nil
        }
        let speed = Double(rate)
        balance = min(balance + (now - (filledAt ?? now - Self.burstSeconds)) * speed, speed * Self.burstSeconds)
        filledAt = now
        guard balance > 0 else { return max(0.001, -balance / speed) }
        balance -= Double(bytes)
        return nil
    }
}

/// The rate at which one agent sends, over all its transfers and connections together: what the link has.
///
/// Those that wait are let go in the order in which they came. Blocks: for the threads that send.
final class SendingPace: Sendable {
    /// A schedule may change while somebody waits: it is looked at so often.
    private static let lookSeconds = 0.25

    private struct State {
        var bucket = TokenBucket()
        var next: UInt64 = 0
        var waiting: [UInt64] = []
    }

    private let schedule: RateSchedule
    private let seconds: @Sendable () -> Double
    private let rate: @Sendable (RateSchedule) -> UInt64?
    private let state = Mutex(State())

    /// Clock and wall clock can be a test's.
    init(
        _ schedule: RateSchedule,
        seconds: @escaping @Sendable () -> Double = { ProcessInfo.processInfo.systemUptime },
        rate: @escaping @Sendable (RateSchedule) -> UInt64? = SendingPace.rateNow
    ) {
        self.schedule = schedule
        self.seconds = seconds
        self.rate = rate
    }

    /// What the schedule says at this host's local time.
    static let rateNow: @Sendable (RateSchedule) -> UInt64? = { schedule in
        let now = Date()
        return schedule.rate(
            at: Timestamp(milliseconds: Int64(now.timeIntervalSince1970 * 1000)),
            offset: TimeZone.current.secondsFromGMT(for: now))
    }

    /// Waits until so many bytes may leave; returns the seconds that it took.
    ///
    /// Throws the interrupt's reason.
    func take(_ bytes: Int, _ interrupt: Interrupt) throws -> Double {
        if schedule.rules.isEmpty { return 0 }
        let start = seconds()
        let number = state.withLock { state in
            defer { state.next += 1 }
            state.waiting.append(state.next)
            return state.next
        }
        defer { state.withLock { $0.waiting.removeAll { $0 == number } } }
        while true {
            try interrupt.check()
            let left = state.withLock { state -> Double? in
                guard state.waiting.first == number else { return 0.005 }
                return state.bucket.take(bytes, rate: rate(schedule), at: seconds())
            }
            guard let left else { return seconds() - start }
            var entry = pollfd(fd: interrupt.descriptor, events: Int16(POLLIN), revents: 0)
            poll(&entry, 1, Int32((min(left, Self.lookSeconds) * 1000).rounded(.up)))
        }
    }
}
