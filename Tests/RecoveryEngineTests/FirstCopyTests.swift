import Hypervisors
import RecoveryEngine
import SiteModel
import Testing
import VaultStore

@Suite("First copies that are put off or carried, and disks that are left out")
struct FirstCopyTests {
    private func protect(_ rig: Rig, _ options: ProtectOptions) async throws {
        try await rig.engine.protect(vm: "orders", in: try await rig.cloud(), options: options)
    }

    private static let offline = ProtectOptions(
        firstCopy: .offline, exportPath: "/media/out", importPath: "/media/in")

    /// Carries the exported folder to the target.
    private func carry(_ rig: Rig) async throws {
        let name = FirstCopyRecord.folderName(vm: "orders", id: try await rig.relationship().id)
        rig.world.change { $0.media["/media/in/\(name)"] = $0.media["/media/out/\(name)"] }
    }

    @Test(
        "What does not fit together is refused before anything is made",
        arguments: [
            (ProtectOptions(startAfter: 8 * 86_400), "start_after", "0 to 7 days"),
            (ProtectOptions(startAfter: -1), "start_after", "0 to 7 days"),
            (ProtectOptions(firstCopy: .now, startAfter: 5), "start_after", "scheduled"),
            (ProtectOptions(firstCopy: .scheduled), "start_after", "first_copy_time"),
            (ProtectOptions(firstCopy: .offline), "export_path", "absolute"),
            (ProtectOptions(firstCopy: .offline, exportPath: "/media/out"), "import_path", "absolute"),
            (ProtectOptions(firstCopy: .offline, exportPath: "out", importPath: "/in"), "export_path", "absolute"),
            (ProtectOptions(exportPath: "/media/out"), "export_path", "offline"),
            (ProtectOptions(disks: ["sda"]), "disks", "vda, vdb"),
            (ProtectOptions(disks: []), "disks", "at least one"),
            (ProtectOptions(exclude: ["vda", "vdb"]), "exclude", "at least one"),
            (ProtectOptions(disks: ["vda"], exclude: ["vdb"]), "exclude", "one of the two"),
        ] as [(ProtectOptions, String, String)])
    func refused(options: ProtectOptions, field: String, allowed: String) async throws {
        let rig = try await Rig()
        let error = try await engineError { try await protect(rig, options) }
        #expect(error.kind == .invalid && error.object == "orders")
        #expect(error.message.contains(field) && error.message.contains(allowed), "\(error.message)")
        #expect(try await rig.vault.read { try $0.objects(Relationship.self).isEmpty })
    }

    @Test func aScheduledCopyCanBeCalledOffAndBegunByHand() async throws {
        let rig = try await Rig()
        try await protect(rig, ProtectOptions(startAfter: 3600))
        let pending = try await rig.relationship()
        #expect(pending.state == .firstCopyPending && pending.newestGeneration == nil)
        #expect(pending.firstCopy?.startAt == rig.clock.now.advanced(bySeconds: 3600))
        #expect(try await engineError { try await rig.run(.unplannedFailover) }.rule == "first-copy-incomplete")
        try await rig.run(.cancelFirstCopy)
        #expect(try await rig.relationship().firstCopy == FirstCopyRecord(method: .now))
        try await rig.run(.startFirstCopy)
        #expect(try await rig.relationship().state == .protected)
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
    }

    @Test func aCarriedCopyIsTheFirstPointAndTheChangesMeanwhileFollow() async throws {
        let rig = try await Rig()
        try await protect(rig, Self.offline)
        let pending = try await rig.relationship()
        #expect(pending.state == .firstCopyPending)
        #expect(pending.firstCopy?.exported?.folder == "/media/out/orders_\(pending.id)")
        #expect(try await engineError { try await rig.run(.testFailover) }.rule == "first-copy-incomplete")
        #expect(try await engineError { try await rig.run(.cancelFirstCopy) }.rule == "first-copy-exported")
        #expect(try await rig.points().isEmpty)
        // Not brought over yet: nothing is lost by asking too early.
        #expect(try await engineError { try await rig.run(.importFirstCopy) }.kind == .failed)
        #expect(try await rig.relationship().state == .firstCopyPending)

        rig.world.write("orders", at: "a", [1: 77])
        try await carry(rig)
        try await rig.run(.importFirstCopy)
        let imported = try await rig.relationship()
        #expect(imported.state == .protected && imported.firstCopy == nil)
        #expect(try await rig.points().map(\.id) == [imported.newestGeneration])
        #expect(try await rig.newestPoint(at: "b")?["vda"]?[1] != 77)
        try await rig.cycle()
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
        let bytes = try await rig.jobs().last { $0.operation == .sync }?.facts["bytes"]
        #expect(bytes == String(blockSize), "one block was written")
        try await rig.run(.plannedFailover)
        #expect(rig.world.power("orders", at: "b") == .running)
        #expect(rig.world.violations == [])
    }

    @Test func insteadOfCarryingItMayGoOverTheNetworkAfterAll() async throws {
        let rig = try await Rig()
        try await protect(rig, Self.offline)
        try await rig.run(.startFirstCopy)
        #expect(try await rig.relationship().state == .protected)
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
        #expect(rig.world.violations == [])
    }

    @Test func anEngineThatDiesInAnExportBeginsItAnew() async throws {
        for effect in 1...12 {
            let rig = try await Rig()
            let dying = rig.engine("dies", fuse: Fuse(.dieAfterEffect(effect)))
            let cloud = try await rig.cloud()
            _ = try? await dying.protect(vm: "orders", in: cloud, options: Self.offline)
            rig.clock.advance(seconds: 30)
            for recovered in try await rig.engine.recoverOpenJobs() { #expect(recovered.failure == nil) }
            guard let found = try? await rig.relationship(), found.state != .unprotected else { continue }
            #expect(found.state == .firstCopyPending, "after effect \(effect)")
            try await carry(rig)
            try await rig.run(.importFirstCopy)
            try await rig.cycle()
            #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"), "after effect \(effect)")
            #expect(rig.world.violations == [])
        }
    }

    @Test func aFolderThatIsNotThereLeavesTheVMUnprotected() async throws {
        let rig = try await Rig()
        let options = ProtectOptions(firstCopy: .offline, exportPath: "/nowhere", importPath: "/media/in")
        let error = try await engineError { try await protect(rig, options) }
        #expect(error.message.contains("/nowhere"))
        #expect(try await rig.relationship().state == .unprotected)
        let job = try #require(try await rig.jobs().last)
        #expect(job.failures?.map(\.stage) == ["export-first-copy"] && job.failures?.first?.causes?.isEmpty == false)
    }

    @Test func aDiskThatIsLeftOutIsAbsentAwayAndBackAtHome() async throws {
        let rig = try await Rig()
        try await protect(rig, ProtectOptions(exclude: ["vdb"]))
        #expect(try await rig.relationship().excludedDisks == ["vdb"])
        try await rig.cycle()
        #expect(try await rig.newestPoint(at: "b")?.keys.sorted() == ["vda"])
        try await rig.run(.plannedFailover)
        #expect(rig.world.domain("orders", at: "b")?.definition.disks.map(\.target) == ["vda"])
        try await rig.run(.commit)
        try await rig.run(.reverse)
        try await rig.run(.plannedFailover)
        #expect(rig.world.domain("orders", at: "a")?.definition.disks.map(\.target) == ["vda", "vdb"])
        #expect(rig.world.violations == [])
        #expect(try await rig.relationship().lastFailoverAt != nil)
    }

    @Test func aNICThatNothingMapsComesHomeConnected() async throws {
        for away in [nil, "mgmt-b"] {
            let rig = try await Rig()
            try rig.world.addVM("lab", at: "a", disks: ["vda": [0: 1]], network: "mgmt-a")
            try await rig.protect("lab")
            try await rig.run(.plannedFailover, "lab")
            #expect(rig.world.domain("lab", at: "b")?.definition.nics.map(\.network) == [nil])
            if let away {
                try rig.world.change { state in
                    let uuid = "\(rig.world.uuid("lab"))"
                    try state.hosts["b"]?.domains[uuid]?.definition.setNetworks(["52:54:00:00:00:01": away])
                }
            }
            try await rig.run(.commit, "lab")
            try await rig.run(.reverse, "lab")
            try await rig.run(.plannedFailover, "lab")
            let home: String? = away == nil ? "mgmt-a" : nil
            #expect(rig.world.domain("lab", at: "a")?.definition.nics.map(\.network) == [home])
        }
    }

    @Test func pointsStayWhereThePolicySaysSoAndGoWhenItIsProtectedAgain() async throws {
        let rig = try await Rig()
        var policy = try await rig.policy()
        policy.deleteReplica = false
        try await rig.engine.ensurePolicy(policy)
        try await rig.protect()
        let id = try await rig.relationship().id
        try await rig.run(.unprotect)
        #expect(rig.world.store(id, at: "b").points.count == 1)
        #expect(rig.world.store(id, at: "b").ownership == nil, "nobody brings the VM up from what was kept")
        #expect(try await rig.points().isEmpty)
        rig.world.write("orders", at: "a", [5: 5])
        try await rig.protect()
        #expect(rig.world.store(id, at: "b").points.count == 1)
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
        #expect(rig.world.violations == [])
    }

    @Test func aPolicyForAPortHoldsForHostsThatListenThere() async throws {
        let rig = try await Rig()
        var policy = try await rig.policy()
        policy.port = 8084
        try await rig.engine.ensurePolicy(policy)
        let error = try await engineError { try await rig.protect() }
        #expect(error.kind == .invalid && error.message.contains("8084") && error.message.contains("port"))
    }
}
