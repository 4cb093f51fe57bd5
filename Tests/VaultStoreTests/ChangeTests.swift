import SiteModel
import Testing
import VaultStore

@Suite("What was written since somebody last looked")
struct ChangeTests {
    @Test("Each write of an object counts, and shows what it wrote and nothing else", arguments: VaultKind.allCases)
    func changes(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        let (gold, silver) = try await vault.write { vault in
            (try vault.insert(Sample.cloud("gold")), try vault.insert(Sample.cloud("silver")))
        }
        let seen = try await vault.read { try $0.changeNumber() }
        #expect(try await vault.read { try $0.objects(Cloud.self, changedAfter: 0).count } == 2)
        #expect(try await vault.read { try $0.objects(Cloud.self, changedAfter: seen) }.isEmpty)
        var wider = gold
        wider.hosts.append("h2")
        let given = wider
        let written = try await vault.write { try $0.update(given) }
        try await vault.write { try $0.append(Sample.event("no object")) }
        #expect(try await vault.read { try $0.objects(Cloud.self, changedAfter: seen) } == [written])
        #expect(try await vault.read { try $0.objects(Job.self, changedAfter: 0) }.isEmpty)
        #expect(try await vault.read { try $0.changeNumber() } > seen)
        let before = try await vault.read { try $0.changeNumber() }
        try await vault.write { try $0.delete(silver) }
        #expect(try await vault.read { try $0.objects(Cloud.self, changedAfter: before) }.isEmpty)
        #expect(try await vault.read { try $0.changeNumber() } > before, "who keeps a copy has to look again")
    }

    @Test("A write that is refused shows nowhere", arguments: VaultKind.allCases)
    func undone(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        let kept = try await vault.write { try $0.insert(Sample.cloud("gold")) }
        let seen = try await vault.read { try $0.changeNumber() }
        let refusal = await vault.refusal { vault in
            var wider = kept
            wider.hosts = []
            try vault.update(wider)
            try vault.insert(Sample.cloud("gold", id: "other"))
        }
        #expect(refusal == .duplicate)
        for changed in try await vault.read({ try $0.objects(Cloud.self, changedAfter: seen) }) {
            #expect(changed == kept)
        }
    }

    @Test("A thousand rewrites of one object show as one", arguments: VaultKind.allCases)
    func rewritten(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        let first = try await vault.write { try $0.insert(Sample.cloud("gold")) }
        try await vault.write { vault in
            var cloud = first
            for _ in 1...3000 {
                cloud.hosts = cloud.hosts.count > 3 ? [] : cloud.hosts + ["h"]
                cloud = try vault.update(cloud)
            }
        }
        #expect(try await vault.read { try $0.objects(Cloud.self, changedAfter: 0).map(\.revision) } == [3001])
    }

    @Test("Events are read on from a number, oldest first", arguments: VaultKind.allCases)
    func events(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        #expect(try await vault.read { try $0.lastEventNumber() } == 0)
        try await vault.write { vault in for text in ["a", "b", "c", "d"] { try vault.append(Sample.event(text)) } }
        let two = try await vault.read { try $0.events(after: 1, limit: 2) }
        #expect(two.map(\.event.text) == ["b", "c"] && two.map(\.number) == [2, 3])
        #expect(try await vault.read { try $0.events(after: 4, limit: 10) }.isEmpty)
        #expect(try await vault.read { try $0.lastEventNumber() } == 4)
    }
}
