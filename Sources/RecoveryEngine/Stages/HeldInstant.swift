package import Hypervisors
package import SiteModel

/// One guest of which a backup is to begin while it is held.
package struct InstantGuest: Sendable {
    package var name: String
    package var uuid: String
    /// For what holds the guest and begins its backup.
    package var own: any Hypervisor
    /// For what lets it go: a call that hangs on the other connection must not keep it held.
    package var rescue: any Hypervisor
    package var request: BackupRequest

    package init(
        name: String, uuid: String, own: any Hypervisor, rescue: any Hypervisor, request: BackupRequest
    ) {
        self.name = name
        self.uuid = uuid
        self.own = own
        self.rescue = rescue
        self.request = request
    }
}

/// What came of holding guests while their backups began.
package struct HeldInstant: Sendable {
    /// Why the guests were not all held, so that no backup was begun; nil when they were.
    package var holdFailure: String?
    /// Of each guest, in order; empty when they were not all held.
    package var begun: [Result<Void, any Error>] = []
    /// Whether each guest was held until it was let go: no deadline and nobody else had let it go before.
    package var wasHeld: [Bool] = []
    /// Whether it is known of each guest that it goes on.
    package var goesOn: [Bool] = []
    /// An instant at which all were held.
    package var at: Timestamp
    /// Seconds from the first call that held one to the last that let one go.
    package var seconds = 0.0
    /// Seconds from the first call that began a backup until the last had returned: nobody wrote meanwhile.
    package var spread = 0.0
}

/// Takes one instant of several guests: holds them all, begins all their backups, lets them all go at once.
///
///     hold ──► all are held ──► begin, all at once ──► all have begun ──► let go
///       └──────────── a deadline lets them go whatever hangs ────────────┘
///
/// Nothing but the calls that begin lies between. On every path the guests are let go before this returns.
package struct InstantTaker: Sendable {
    /// Seconds that a guest is held at most.
    package static let limit = 10.0
    /// How often a guest is told to go on before it is left to whoever comes next.
    private static let tries = 3
    /// Seconds from the first hold until a paused guest is left to whoever comes next.
    ///
    /// An engine that stood still for so long has lost its job: the VM may have been failed over, and this copy have come back
    /// and been suspended. Whoever comes next looks first who owns it.
    private static let grip = 15.0

    let clock: any EngineClock
    let executor: (any TaskExecutor)?

    package init(clock: any EngineClock, executor: (any TaskExecutor)?) {
        self.clock = clock
        self.executor = executor
    }

    package func take(_ guests: [InstantGuest], as hold: GuestHold) async -> HeldInstant {
        let began = clock.now
        let deadline = Task(executorPreference: executor) { [self] in
            try await clock.sleep(seconds: Self.limit)
            guard mayLetGo(hold, since: began) else { return }
            await Self.each(guests) { _ = try? await $0.rescue.letGo(uuid: $0.uuid, from: hold) }
        }
        var result = HeldInstant(at: began)
        // An agent that has answered after most of the time leaves none to begin in.
        let answer = Duration.seconds(Self.limit / 2)
        let held = await Self.each(guests) { guest in
            await Self.result { try await guest.own.hold(uuid: guest.uuid, as: hold, limit: answer) }
        }
        result.holdFailure = zip(guests, held).compactMap(Self.failure).first
        if result.holdFailure == nil {
            result.at = clock.now
            result.begun = await Self.each(guests) { guest in
                await Self.result { try await guest.own.beginBackup(uuid: guest.uuid, guest.request) }
            }
            result.spread = clock.now.seconds(since: result.at)
        }
        let released = await Self.each(Array(zip(guests, held))) { guest, held in
            // It says for certain that it is not held: no agent is there that could be asked to thaw.
            if case .failure(let error as HypervisorError) = held, error.code == .unsupported { return Optional(false) }
            return await letGo(guest, hold, since: began)
        }
        deadline.cancel()
        result.wasHeld = released.map { $0 ?? false }
        result.goesOn = released.map { $0 != nil }
        result.seconds = clock.now.seconds(since: began)
        return result
    }

    private static func failure(_ guest: InstantGuest, _ held: Result<Void, any Error>) -> String? {
        guard case .failure(let error) = held else { return nil }
        return "\(guest.name): \(JobDriver.describe(error).message)"
    }

    /// Whether the guest was held until now; nil when it cannot be told to go on.
    private func letGo(_ guest: InstantGuest, _ hold: GuestHold, since began: Timestamp) async -> Bool? {
        for _ in 0..<Self.tries {
            guard mayLetGo(hold, since: began) else { return nil }
            if let held = try? await guest.rescue.letGo(uuid: guest.uuid, from: hold) { return held }
        }
        guard mayLetGo(hold, since: began) else { return nil }
        return try? await guest.own.letGo(uuid: guest.uuid, from: hold)
    }

    /// A guest that is thawed too late is one that runs anyway; one that is resumed too late may be no longer ours.
    private func mayLetGo(_ hold: GuestHold, since began: Timestamp) -> Bool {
        hold == .frozen || clock.now.seconds(since: began) < Self.grip
    }

    private static func result(_ body: () async throws -> Void) async -> Result<Void, any Error> {
        do { return .success(try await body()) } catch { return .failure(error) }
    }

    /// All at once; results in order.
    @discardableResult
    private static func each<Element: Sendable, Value: Sendable>(
        _ elements: [Element], _ body: @escaping @Sendable (Element) async -> Value
    ) async -> [Value] {
        await withTaskGroup(of: (Int, Value).self) { group in
            for (index, element) in elements.enumerated() {
                group.addTask { (index, await body(element)) }
            }
            var values: [Int: Value] = [:]
            for await (index, value) in group { values[index] = value }
            return elements.indices.compactMap { values[$0] }
        }
    }
}
