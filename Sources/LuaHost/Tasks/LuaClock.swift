/// The time a run goes by: what `os.time` reads and what `task.sleep` waits on.
public protocol LuaClock: Sendable {
    /// The time since 1970-01-01 00:00 UTC.
    var now: Duration { get }
    /// Returns when the duration has passed; throws `CancellationError` at once when the task is cancelled.
    func sleep(for duration: Duration) async throws
    /// Returns when the clock shows that time, at once when it has passed; throws like ``sleep(for:)``.
    func sleep(until deadline: Duration) async throws
    /// Whether the time is made up, as in a simulation; false unless a clock says otherwise.
    ///
    /// ``LuaConfiguration/Limits/luaTime`` is then measured by this clock instead of the machine's, so that a run does not
    /// depend on how quick the machine is; an endless loop is ended by its fuel.
    var isVirtual: Bool { get }
}

extension LuaClock {
    /// By default the time is the world's.
    public var isVirtual: Bool { false }

    /// By default sleeps for what is left.
    public func sleep(until deadline: Duration) async throws { try await sleep(for: max(deadline - now, .zero)) }
}
