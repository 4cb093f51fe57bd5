internal import Foundation

/// The machine's clock.
public struct SystemLuaClock: LuaClock {
    /// Makes the clock.
    public init() {}

    /// The time since 1970-01-01 00:00 UTC.
    public var now: Duration { .seconds(Date().timeIntervalSince1970) }

    /// Returns when the duration has passed.
    public func sleep(for duration: Duration) async throws {
        try await Task.sleep(for: duration, tolerance: nil, clock: .continuous)
    }
}
