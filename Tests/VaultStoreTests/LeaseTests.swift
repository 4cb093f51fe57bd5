import SiteModel
import Testing
import VaultStore

/// Leases, with a clock that only the test turns.
@Suite("Leases")
struct LeaseTests {
    static func at(_ seconds: Double) -> Timestamp { Timestamp(milliseconds: 0).advanced(bySeconds: seconds) }

    static func acquire(_ vault: any Vault, _ holder: String, at time: Double) async throws -> Lease {
        try await vault.write { try $0.acquireLease("job", holder: holder, now: at(time), lifetime: 15) }
    }

    @Test("A free lease is taken with epoch 1 and seen by all", arguments: VaultKind.allCases)
    func free(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        let lease = try await Self.acquire(vault, "one", at: 100)
        #expect(lease == Lease(name: "job", holder: "one", epoch: 1, expiresAt: Self.at(115)))
        #expect(try await vault.read { try $0.lease("job") } == lease)
        try await vault.write { try $0.require(lease, now: Self.at(114.999)) }
    }

    @Test("A live lease is refused to others, who learn the holder's name", arguments: VaultKind.allCases)
    func held(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        let lease = try await Self.acquire(vault, "one", at: 0)
        let error = await #expect(throws: VaultError.self) { try await Self.acquire(vault, "two", at: 14.999) }
        #expect(error?.code == .leaseHeld)
        #expect(error?.message.contains("one") == true)
        #expect(try await vault.read { try $0.lease("job") } == lease)
    }

    @Test("Taking one's own live lease again extends it at the same epoch", arguments: VaultKind.allCases)
    func again(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        _ = try await Self.acquire(vault, "one", at: 0)
        let lease = try await Self.acquire(vault, "one", at: 10)
        #expect(lease.epoch == 1)
        #expect(lease.expiresAt == Self.at(25))
    }

    @Test("A lease that ran out is taken over at a higher epoch, and lost to the first", arguments: VaultKind.allCases)
    func takeOver(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        let old = try await Self.acquire(vault, "one", at: 0)
        #expect(await vault.refusal { try $0.require(old, now: Self.at(15)) } == .leaseLost)
        let new = try await Self.acquire(vault, "two", at: 15)
        #expect(new.epoch == 2)
        #expect(await vault.refusal { try $0.require(old, now: Self.at(16)) } == .leaseLost)
        #expect(await vault.refusal { _ = try $0.renew(old, now: Self.at(16), lifetime: 15) } == .leaseLost)
        // Giving up what is lost does not harm the one who has it.
        try await vault.write { try $0.release(old) }
        try await vault.write { try $0.require(new, now: Self.at(16)) }
    }

    @Test("One's own lease that ran out comes back at a higher epoch", arguments: VaultKind.allCases)
    func ownExpired(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        let old = try await Self.acquire(vault, "one", at: 0)
        let new = try await Self.acquire(vault, "one", at: 20)
        #expect(new.epoch == 2)
        #expect(await vault.refusal { try $0.require(old, now: Self.at(21)) } == .leaseLost)
    }

    @Test("A renewed lease lives on", arguments: VaultKind.allCases)
    func renew(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        let lease = try await Self.acquire(vault, "one", at: 0)
        let renewed = try await vault.write { try $0.renew(lease, now: Self.at(10), lifetime: 15) }
        #expect(renewed.epoch == 1)
        #expect(renewed.expiresAt == Self.at(25))
        // The first copy of the value is as good: what counts is in the vault.
        try await vault.write { try $0.require(lease, now: Self.at(24)) }
        // Late, but nobody took it meanwhile.
        let late = try await vault.write { try $0.renew(lease, now: Self.at(60), lifetime: 15) }
        #expect(late.expiresAt == Self.at(75))
    }

    @Test("A lease that was given up is free at once, and its epoch goes on", arguments: VaultKind.allCases)
    func release(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        let lease = try await Self.acquire(vault, "one", at: 0)
        try await vault.write { try $0.release(lease) }
        #expect(try await vault.read { try $0.lease("job") } == nil)
        #expect(await vault.refusal { try $0.require(lease, now: Self.at(1)) } == .leaseLost)
        #expect(await vault.refusal { _ = try $0.renew(lease, now: Self.at(1), lifetime: 15) } == .leaseLost)
        let next = try await Self.acquire(vault, "two", at: 1)
        #expect(next.epoch == 2)
    }

    @Test("A write is refused whole when its lease is lost", arguments: VaultKind.allCases)
    func guarded(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        let lease = try await Self.acquire(vault, "one", at: 0)
        _ = try await Self.acquire(vault, "two", at: 15)
        #expect(
            await vault.refusal {
                try $0.append(Sample.event("too late"))
                try $0.require(lease, now: Self.at(16))
            } == .leaseLost)
        #expect(try await vault.texts() == [])
    }

    @Test("Of many who want one lease, one gets it", arguments: VaultKind.allCases)
    func race(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        let won = await withTaskGroup(of: Bool.self) { group in
            for holder in 0..<10 {
                group.addTask { (try? await Self.acquire(vault, "h\(holder)", at: 0)) != nil }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(won == 1)
    }
}
