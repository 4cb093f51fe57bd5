package import BlockReplication
package import Hypervisors
package import SiteModel
package import VaultStore

/// What the engine reaches the world through.
///
/// All of it is handed in, so that a simulation can stand in for any of it.
package struct EngineDependencies: Sendable {
    package var vault: any Vault
    package var connections: any Connections
    package var fencing: any Fencing
    package var clock: any EngineClock
    package var identifiers: any IdentifierSource
    /// Names this engine as the holder of leases.
    package var holder: String
    /// Seconds that a lease lives without being renewed; it is renewed three times as often.
    package var leaseLifetime: Double
    /// Where tasks that outlive their caller run; nil for Swift's own threads.
    ///
    /// Tasks within a task follow it by themselves.
    package var executor: (any TaskExecutor)?
    /// Told of every change to a job, progress included.
    ///
    /// Must return quickly.
    package var observer: @Sendable (Job, _ vm: String) -> Void
    /// Seconds that local time is ahead of UTC at an instant: times of day in policies are local.
    package var localOffset: @Sendable (Timestamp) -> Int
    /// So many bytes that nobody can guess.
    package var randomBytes: @Sendable (Int) -> [UInt8]
    /// Seconds that a leg of a first copy takes, as a rule.
    package var legSeconds = 60.0

    package init(
        vault: any Vault, connections: any Connections, fencing: any Fencing, clock: any EngineClock,
        identifiers: any IdentifierSource, holder: String, leaseLifetime: Double = 15,
        executor: (any TaskExecutor)? = nil,
        observer: @escaping @Sendable (Job, String) -> Void = { _, _ in },
        localOffset: @escaping @Sendable (Timestamp) -> Int = LocalTime.offset,
        randomBytes: @escaping @Sendable (Int) -> [UInt8] = SystemRandom.bytes
    ) {
        self.vault = vault
        self.connections = connections
        self.fencing = fencing
        self.clock = clock
        self.identifiers = identifiers
        self.holder = holder
        self.leaseLifetime = leaseLifetime
        self.executor = executor
        self.observer = observer
        self.localOffset = localOffset
        self.randomBytes = randomBytes
    }
}

/// Opens what stands for a host: its hypervisor and its agent.
package protocol Connections: Sendable {
    func hypervisor(of host: Host) async throws -> any Hypervisor
    func agent(of host: Host) async throws -> any Agent
}

/// Ends a host for certain.
package protocol Fencing: Sendable {
    /// Ends the host and says how sure it is that it no longer runs anything.
    func fence(_ host: Host) async -> FenceOutcome
}

/// What a fence has proven.
package struct FenceOutcome: Hashable, Sendable {
    package let verdict: SourceVerdict
    /// Why the host's state is not known, with the last that its fence said; nil when it is proven to be down.
    package let trouble: String?

    package static let proven = FenceOutcome(verdict: .proven, trouble: nil)

    package static func unknown(_ trouble: String) -> FenceOutcome { FenceOutcome(verdict: .unknown, trouble: trouble) }

    /// Refuses to go on where the host's state is not known.
    ///
    /// - Parameter word: how a person says that it is down, as scripts and the command line write it.
    func requireProof(
        that host: Host, of vm: String, isDown kind: EngineError.Kind, rule: String, orSay word: String
    ) throws(EngineError) {
        guard let trouble else { return }
        throw EngineError(
            kind, "the fence of \(host.name) did not prove that it is down: \(trouble)",
            hint:
                "mend the fence and repeat; or see to it by hand that the host is off, and say so (\(word)): your word is "
                + "recorded",
            rule: rule, object: vm)
    }
}

/// Time, as the engine sees it.
package protocol EngineClock: Sendable {
    var now: Timestamp { get }
    func sleep(seconds: Double) async throws
}

/// Fresh identifiers: lower-case UUID strings.
package protocol IdentifierSource: Sendable {
    func next() -> String
}
