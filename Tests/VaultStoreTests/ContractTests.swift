import SiteModel
import Testing
import VaultStore

/// What every vault does, whatever it is kept in.
@Suite("Vault contract")
struct ContractTests {
    @Test("An object comes back as it was put in, at revision 1", arguments: VaultKind.allCases)
    func insertAndRead(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        var relationship = Relationship(
            id: "r1", name: "orders \"ü\"\n\0", vmUUID: "u", source: "a", target: "b", policy: "p",
            disks: [
                ReplicatedDisk(target: "vda", size: .max, images: ["a": DiskImage(path: "/x/y", format: "raw")])
            ])
        relationship.networks = ["prod": "dr"]
        relationship.epoch = .max
        let given = relationship
        let stored = try await vault.write { try $0.insert(given) }
        #expect(stored.revision == 1)
        let read = try await vault.read { try $0.object(Relationship.self, id: "r1") }
        #expect(read == stored)
        #expect(read?.value == given)
        let byName = try await vault.read { try $0.object(Relationship.self, named: given.name, parent: nil) }
        #expect(byName == stored)
    }

    @Test("A figure that is no number is kept too", arguments: VaultKind.allCases)
    func nonFinite(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        var job = Sample.job("j", at: 1)
        job.progress = TransferProgress(done: 1, total: 2, bytesPerSecond: .infinity)
        let given = job
        try await vault.write { try $0.insert(given) }
        let read = try await vault.read { try $0.object(Job.self, id: "j") }
        #expect(read?.value.progress?.bytesPerSecond == .infinity)
    }

    @Test("What is not there is nil or empty", arguments: VaultKind.allCases)
    func absent(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        try await vault.read { reader throws in
            #expect(try reader.object(Cloud.self, id: "none") == nil)
            #expect(try reader.object(Cloud.self, named: "none", parent: nil) == nil)
            #expect(try reader.objects(Cloud.self).isEmpty)
            #expect(try reader.objects(Cloud.self, parent: "none").isEmpty)
            #expect(try reader.openJobs().isEmpty)
            #expect(try reader.events(about: nil, limit: 10).isEmpty)
            #expect(try reader.lease("none") == nil)
        }
    }

    @Test("Each update raises the revision by one", arguments: VaultKind.allCases)
    func update(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        var cloud = try await vault.write { try $0.insert(Sample.cloud("gold")) }
        for revision in 2...4 {
            cloud.hosts.append("h\(revision)")
            let changed = cloud
            cloud = try await vault.write { try $0.update(changed) }
            #expect(cloud.revision == revision)
        }
        let read = try await vault.read { try $0.object(Cloud.self, id: "id-s1-gold") }
        #expect(read?.value.hosts == ["h1", "h2", "h3", "h4"])
        #expect(read?.revision == 4)
    }

    @Test("A write to an old revision is refused and changes nothing", arguments: VaultKind.allCases)
    func stale(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        let first = try await vault.write { try $0.insert(Sample.cloud("gold")) }
        let second = try await vault.write { try $0.update(first) }
        #expect(await vault.refusal { try $0.update(first) } == .stale)
        #expect(await vault.refusal { try $0.delete(first) } == .stale)
        let read = try await vault.read { try $0.object(Cloud.self, id: first.id) }
        #expect(read == second)
    }

    @Test("What was removed is gone, and its name free", arguments: VaultKind.allCases)
    func delete(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        let cloud = try await vault.write { try $0.insert(Sample.cloud("gold")) }
        try await vault.write { try $0.delete(cloud) }
        #expect(try await vault.read { try $0.object(Cloud.self, id: cloud.id) } == nil)
        #expect(await vault.refusal { try $0.update(cloud) } == .missing)
        #expect(await vault.refusal { try $0.delete(cloud) } == .missing)
        let again = try await vault.write { try $0.insert(Sample.cloud("gold")) }
        #expect(again.revision == 1)
    }

    @Test("An id is taken once, a name once under one parent", arguments: VaultKind.allCases)
    func duplicates(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        try await vault.write { try $0.insert(Sample.cloud("gold", server: "s1")) }
        #expect(await vault.refusal { try $0.insert(Sample.cloud("tin", id: "id-s1-gold")) } == .duplicate)
        #expect(await vault.refusal { try $0.insert(Sample.cloud("gold", id: "other")) } == .duplicate)
        #expect(await vault.refusal { try $0.insert(Sample.cloud("gold", server: "s2")) } == nil)
        // Of another kind, both may be the same.
        #expect(await vault.refusal { try $0.insert(Server(id: "id-s1-gold", name: "gold", managementVM: nil)) } == nil)
        // At the top, where there is no parent, names are unique as well.
        #expect(await vault.refusal { try $0.insert(Server(id: "x", name: "gold", managementVM: nil)) } == .duplicate)
        // One letter spelled in two ways is one name.
        #expect(await vault.refusal { try $0.insert(Sample.cloud("caf\u{e9}", id: "c1")) } == nil)
        #expect(await vault.refusal { try $0.insert(Sample.cloud("cafe\u{301}", id: "c2")) } == .duplicate)
    }

    @Test("A new name must be free, and frees the old one", arguments: VaultKind.allCases)
    func rename(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        let gold = try await vault.write { try $0.insert(Sample.cloud("gold")) }
        try await vault.write { try $0.insert(Sample.cloud("silver")) }
        #expect(
            await vault.refusal {
                var taken = gold
                taken.name = "silver"
                try $0.update(taken)
            } == .duplicate)
        try await vault.write {
            var free = gold
            free.name = "bronze"
            try $0.update(free)
        }
        try await vault.read { reader throws in
            #expect(try reader.object(Cloud.self, named: "gold", parent: "s1") == nil)
            #expect(try reader.object(Cloud.self, named: "bronze", parent: "s1")?.id == gold.id)
        }
    }

    @Test("Lists are in the order of names, numbers by value", arguments: VaultKind.allCases)
    func order(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        let sorted = ["10", "2", "002", "vm1", "vm01b", "vm2", "vm10", "vm10a", "VM3", "ä", "v", "vm", ""]
        try await vault.write { writer throws in
            for name in sorted { try writer.insert(Sample.cloud(name)) }
            try writer.insert(Sample.cloud("vm5", server: "s2"))
        }
        let expected = ["", "002", "2", "10", "VM3", "v", "vm", "vm1", "vm01b", "vm2", "vm10", "vm10a", "ä"]
        let listed = try await vault.read { try $0.objects(Cloud.self, parent: "s1").map(\.name) }
        #expect(listed == expected)
        let all = try await vault.read { try $0.objects(Cloud.self).map(\.name) }
        #expect(all == expected.flatMap { $0 == "vm2" ? ["vm2", "vm5"] : [$0] })
    }

    struct Abandoned: Error {}

    @Test("A write that throws has changed nothing at all", arguments: VaultKind.allCases)
    func rollback(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        let time = Timestamp(milliseconds: 0)
        let (gold, silver) = try await vault.write {
            (try $0.insert(Sample.cloud("gold")), try $0.insert(Sample.cloud("silver")))
        }
        await #expect(throws: Abandoned.self) {
            try await vault.write { writer throws in
                try writer.insert(Sample.cloud("new"))
                var renamed = gold
                renamed.name = "renamed"
                renamed = try writer.update(renamed)
                renamed.hosts = []
                try writer.update(renamed)
                try writer.delete(silver)
                try writer.insert(Sample.cloud("silver", id: "taken over"))
                try writer.append(Sample.event("happened"))
                _ = try writer.acquireLease("job", holder: "x", now: time, lifetime: 15)
                throw Abandoned()
            }
        }
        try await vault.read { reader throws in
            #expect(try reader.objects(Cloud.self) == [gold, silver])
            #expect(try reader.object(Cloud.self, named: "gold", parent: "s1") == gold)
            #expect(try reader.object(Cloud.self, named: "silver", parent: "s1") == silver)
            #expect(try reader.object(Cloud.self, named: "renamed", parent: "s1") == nil)
            #expect(try reader.events(about: nil, limit: 10).isEmpty)
            #expect(try reader.lease("job") == nil)
        }
    }

    @Test("A refusal that the caller handles leaves the rest of the transaction", arguments: VaultKind.allCases)
    func handledRefusal(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        try await vault.write { writer throws in
            try writer.insert(Sample.cloud("gold"))
            #expect(throws: VaultError.self) { try writer.insert(Sample.cloud("gold")) }
            try writer.insert(Sample.cloud("silver"))
        }
        let names = try await vault.read { try $0.objects(Cloud.self).map(\.name) }
        #expect(names == ["gold", "silver"])
    }

    @Test("A transaction sees what it has written itself", arguments: VaultKind.allCases)
    func ownWrites(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        try await vault.write { writer throws in
            let cloud = try writer.insert(Sample.cloud("gold"))
            #expect(try writer.object(Cloud.self, id: cloud.id) == cloud)
            #expect(try writer.objects(Cloud.self, parent: "s1") == [cloud])
        }
    }

    @Test("Events come newest first, those of one object alone if asked for", arguments: VaultKind.allCases)
    func events(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        try await vault.write { writer throws in
            for number in 1...5 {
                try writer.append(Sample.event("e\(number)", about: number.isMultiple(of: 2) ? "even" : nil))
            }
        }
        #expect(try await vault.texts() == ["e5", "e4", "e3", "e2", "e1"])
        #expect(try await vault.texts(limit: 2) == ["e5", "e4"])
        #expect(try await vault.texts(about: "even") == ["e4", "e2"])
        #expect(try await vault.texts(about: "even", limit: 1) == ["e4"])
        #expect(try await vault.texts(limit: -1) == [])
        let event = Event(at: Timestamp(milliseconds: 7), severity: .critical, object: "x", text: "a\0b\n")
        try await vault.write { try $0.append(event) }
        #expect(try await vault.read { try $0.events(about: "x", limit: 1) } == [event])
    }

    @Test("Open jobs come oldest first, and only those that are open", arguments: VaultKind.allCases)
    func openJobs(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        let second = try await vault.write { writer throws in
            try writer.insert(Sample.job("third", at: 300))
            try writer.insert(Sample.job("first", at: 100))
            return try writer.insert(Sample.job("second", at: 200))
        }
        let open = try await vault.read { try $0.openJobs().map(\.id) }
        #expect(open == ["first", "second", "third"])
        try await vault.write {
            var ended = second
            ended.state = .failed
            try $0.update(ended)
        }
        let left = try await vault.read { try $0.openJobs().map(\.id) }
        #expect(left == ["first", "third"])
    }

    @Test("Of many writers at once none is lost", arguments: VaultKind.allCases)
    func concurrentWriters(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        try await vault.write { try $0.insert(Sample.cloud("gold")) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<20 {
                group.addTask {
                    try await vault.write { transaction in
                        guard var cloud = try transaction.object(Cloud.self, id: "id-s1-gold") else { return }
                        cloud.hosts.append("w\(writer)")
                        try transaction.update(cloud)
                    }
                }
            }
            try await group.waitForAll()
        }
        let cloud = try await vault.read { try $0.object(Cloud.self, id: "id-s1-gold") }
        #expect(cloud?.revision == 21)
        #expect(Set(cloud?.value.hosts ?? []) == Set(["h1"] + (0..<20).map { "w\($0)" }))
    }

    @Test("Of two who change one revision, one is refused", arguments: VaultKind.allCases)
    func race(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        let cloud = try await vault.write { try $0.insert(Sample.cloud("gold")) }
        let refusals = await withTaskGroup(of: VaultError.Code?.self) { group in
            for _ in 0..<10 { group.addTask { await vault.refusal { try $0.update(cloud) } } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(refusals.count { $0 == nil } == 1)
        #expect(refusals.count { $0 == .stale } == 9)
    }

    @Test("A write of a cancelled task still takes effect", arguments: VaultKind.allCases)
    func cancelled(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try #require(Task.isCancelled)
            try await vault.write { try $0.append(Sample.event("stopped")) }
        }
        try await task.value
        #expect(try await vault.texts() == ["stopped"])
    }
}
