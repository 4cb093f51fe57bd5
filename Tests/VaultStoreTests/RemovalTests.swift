import SiteModel
import Testing
import VaultStore

/// What both vaults do when something old is taken away.
@Suite("What is taken out of a vault")
struct RemovalTests {
    @Test("Events that were removed are gone, the numbers of the others stay", arguments: VaultKind.allCases)
    func events(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        try await vault.write { vault in
            for number in 1...6 { try vault.append(Sample.event("e\(number)", about: number < 4 ? "x" : nil)) }
            try vault.removeEvents([1, 3, 4, 77])
        }
        let left = try await vault.read { try $0.events(after: 0, limit: 10) }
        #expect(left.map(\.number) == [2, 5, 6])
        #expect(left.map(\.event.text) == ["e2", "e5", "e6"])
        #expect(try await vault.read { try $0.events(after: 2, limit: 1).map(\.number) } == [5])
        #expect(try await vault.texts(about: "x") == ["e2"])
        try await vault.write { try $0.append(Sample.event("e7")) }
        #expect(try await vault.read { try $0.events(after: 6, limit: 10).map(\.number) } == [7])
    }

    @Test("The newest event cannot be removed", arguments: VaultKind.allCases)
    func newest(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        try await vault.write { vault in
            for number in 1...3 { try vault.append(Sample.event("e\(number)")) }
            try vault.removeEvents([1, 2, 3])
            try vault.append(Sample.event("e4"))
            try vault.removeEvents([3])
        }
        #expect(try await vault.read { try $0.events(after: 0, limit: 10).map(\.number) } == [4])
        #expect(try await vault.read { try $0.lastEventNumber() } == 4)
    }

    @Test("A transaction that fails gives back what it removed", arguments: VaultKind.allCases)
    func rollBack(kind: VaultKind) async throws {
        struct Wrong: Error {}
        let vault = try Fixture(kind)
        try await vault.write { vault in
            for number in 1...4 { try vault.append(Sample.event("e\(number)")) }
            _ = try vault.acquireLease("l", holder: "a", now: Timestamp(milliseconds: 0), lifetime: 1)
            try vault.insert(Sample.cloud("gold"))
        }
        await #expect(throws: Wrong.self) {
            try await vault.write { vault in
                try vault.append(Sample.event("e5"))
                try vault.removeEvents([2, 3])
                try vault.append(Sample.event("e6"))
                try vault.forgetLease("l", now: Timestamp(milliseconds: 2000))
                if let cloud = try vault.object(Cloud.self, id: "id-s1-gold") { try vault.delete(cloud) }
                throw Wrong()
            }
        }
        #expect(try await vault.read { try $0.events(after: 0, limit: 10).map(\.number) } == [1, 2, 3, 4])
        #expect(try await vault.read { try $0.lease("l")?.epoch } == 1)
        #expect(try await vault.read { try $0.objects(Cloud.self, parent: "s1").count } == 1)
        #expect(try await vault.read { try $0.parents(of: Cloud.self) } == ["s1"])
        try await vault.write { try $0.append(Sample.event("again")) }
        #expect(try await vault.read { try $0.lastEventNumber() } == 5)
    }

    @Test("Parents are told once each, in order, as long as something is under them", arguments: VaultKind.allCases)
    func parents(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        #expect(try await vault.read { try $0.parents(of: Cloud.self) } == [])
        try await vault.write { vault in
            for server in ["s2", "s10", "s1"] {
                for name in ["gold", "silver"] { try vault.insert(Sample.cloud(name, server: server)) }
            }
            try vault.insert(Sample.item(1, cloud: "elsewhere"))
        }
        #expect(try await vault.read { try $0.parents(of: Cloud.self) } == ["s1", "s10", "s2"])
        try await vault.write { vault in
            for cloud in try vault.objects(Cloud.self, parent: "s10") { try vault.delete(cloud) }
            if var moved = try vault.object(Cloud.self, id: "id-s2-gold") {
                moved.value.server = "s3"
                try vault.update(moved)
            }
        }
        #expect(try await vault.read { try $0.parents(of: Cloud.self) } == ["s1", "s2", "s3"])
        #expect(try await vault.read { try $0.objects(Cloud.self, parent: "s3").map(\.value.name) } == ["gold"])
    }

    @Test("A lease is forgotten with its epoch, and only when nobody holds it", arguments: VaultKind.allCases)
    func leases(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        let start = Timestamp(milliseconds: 0)
        let later = start.advanced(bySeconds: 100)
        let lease = try await vault.write { try $0.acquireLease("l", holder: "a", now: start, lifetime: 10) }
        #expect(await vault.refusal { try $0.forgetLease("l", now: start) } == .leaseHeld)
        #expect(await vault.refusal { try $0.forgetLease("none", now: start) } == nil)
        #expect(await vault.refusal { try $0.forgetLease("l", now: later) } == nil)
        #expect(try await vault.read { try $0.lease("l") } == nil)
        #expect(await vault.refusal { try $0.require(lease, now: start) } == .leaseLost)
        #expect(try await vault.write { try $0.acquireLease("l", holder: "b", now: later, lifetime: 10) }.epoch == 1)
    }
}
