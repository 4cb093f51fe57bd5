import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

/// Boot images of a test carry this number instead of an epoch: epochs begin at 1.
private let testEpoch = 0

/// A copy that runs beside production, apart from it, and is thrown away.
///
///     prepare-test: estimate, look at production, write the test down -> create-test: networks, disks, VM -> confirm-
/// test
///     remove-test:  VM, networks, disks -> look at production again -> the report
extension JobDriver {
    /// Decides all of the test and writes it down before any of it is made: what is in the vault is cleaned up, whoever
    /// dies.
    func prepareTest() async throws {
        if let known = fact("testUUID"), relationship.test?.vmUUID == known { return }
        guard let generation = fact("chosen") else {
            throw EngineError(
                .failed, "job \(jobID) has lost its chosen point", hint: "begin the test again",
                object: relationship.name)
        }
        let agent = try await hosts.agent(relationship.target)
        try await checkScratch(free: agent.status().freeBytes)
        let uuid = dependencies.identifiers.next()
        var test = TestRecord(vmName: "\(relationship.name)-test", vmUUID: uuid, generation: generation, startedAt: now)
        test.point = fact("point").flatMap(Int.init)
        test.deadline = now.advanced(bySeconds: argument("within").flatMap(Double.init) ?? TestRecord.longest)
        test.run = argument("keep") == "true" ? nil : job.run
        test.notes = argument("notes")
        test.scratchBytes = fact("scratch").flatMap { UInt64($0) }
        test.before = try await productionFacts()
        test.isUp = false

        let definition = try DomainDefinition(
            xml: await agent.domainXML(relationship: relationship.id, generation: generation))
        let choice = TestNetworkChoice(argument("network"))
        if choice == .create { test.networks = networksToCreate(for: definition.nics, test: test) }
        try await place(definition.nics, in: choice, of: test)
    }

    /// Gives each NIC its network and address, and records the test with them in the same transaction: no two tests get
    /// one address.
    private func place(_ nics: [DomainNIC], in choice: TestNetworkChoice, of test: TestRecord) async throws {
        let hypervisor = try await hosts.hypervisor(relationship.target)
        let wishes = nics.enumerated().map { index, nic in
            let network: String? =
                switch choice {
                case .none: nil
                case .existing(let name): name
                case .create: test.networks?.first { $0.stands == nic.network }?.name
                }
            return NICWish(
                original: nic.mac, mac: PlacedNIC.mac(test: test.vmUUID, index: index), network: network)
        }
        var seen: [String: Set<IPv4Address>] = [:]
        if case .existing(let name) = choice {
            try await requireNetwork(name, at: hypervisor)
            seen = await addressesSeen(at: hypervisor, in: [name])
        }
        let (known, id, host, settings) = (seen, relationship.id, relationship.target, relationship.nicSettings ?? [])
        let (own, hasDHCP) = (Set((test.networks ?? []).map(\.name)), argument("dhcp") != nil)
        try await record { job, relationship, vault in
            let given = try Self.addressesGiven(besides: id, at: host, vault)
            var networks = try Self.addressed(wishes, seen: known, given: given, vault)
            for name in own { networks[name]?.hasDHCP = hasDHCP }
            let plan = AddressPlan.place(wishes, for: .test, settings: settings, networks: networks)
            if let refusal = plan.refusals.first {
                throw EngineError(.invalid, refusal.sentence, hint: refusal.hint, object: relationship.name)
            }
            Self.add(plan.findings, to: &job)
            var test = test
            test.nics = plan.nics
            job.facts["testUUID"] = test.vmUUID
            relationship.test = test
        }
    }

    private func requireNetwork(_ name: String, at hypervisor: any Hypervisor) async throws {
        let present = try await hypervisor.networks()
        guard !present.contains(name) else { return }
        throw EngineError(
            .unknown, "the target has no network '\(name)' for a test of \(relationship.name)",
            hint: Nearest.suggestion(for: name, among: present).map { "did you mean '\($0)'?" }
                ?? "it has: \(present.joined(separator: ", ")); or \"create\", or \"none\"",
            object: relationship.name)
    }

    private func checkScratch(free: UInt64) async throws {
        let estimate = ScratchEstimate(
            disks: relationship.disks, wanted: argument("scratch").flatMap { UInt64($0) }, free: free)
        guard !estimate.isRefused else {
            throw EngineError(
                .invalid, "there is no room for a test of \(relationship.name): \(estimate.sentence)",
                hint: "free space in the target's store, or give a smaller scratch if you know that it writes less",
                object: relationship.name)
        }
        try await record { job, _, _ in
            job.facts["scratch"] = "\(estimate.bytes)"
            if estimate.isTight { Self.add([estimate.sentence + ": when it is full, cycles fail"], to: &job) }
        }
    }

    /// Makes what the record says, as far as it is not there.
    func createTest() async throws {
        // A job of an older version has no stage before this one.
        if relationship.test == nil { try await prepareTest() }
        guard let test = relationship.test else {
            throw EngineError(
                .failed, "job \(jobID) has lost its test", hint: "begin the test again", object: relationship.name)
        }
        let hypervisor = try await hosts.hypervisor(relationship.target)
        let agent = try await hosts.agent(relationship.target)
        if try await hypervisor.domain(uuid: test.vmUUID)?.power.isActive == true { return }
        try await ensureNetworks(of: test, at: hypervisor)
        let images = try await agent.createBootImages(
            relationship: relationship.id, generation: test.generation, epoch: testEpoch)
        var definition = try DomainDefinition(
            xml: await agent.domainXML(relationship: relationship.id, generation: test.generation))
        for image in images {
            try definition.setDisk(
                image.target, chain: image.chain.map { DomainDefinition.Layer(path: $0.path, format: $0.format) })
        }
        let covered = Set(images.map(\.target))
        definition.removeDisks((relationship.excludedDisks ?? []).filter { !covered.contains($0) })
        try await settleOtherDisks(in: &definition, images)
        let nics = test.nics ?? []
        try definition.becomeTest(
            name: test.vmName, uuid: test.vmUUID, nics: nics.map { (mac: $0.mac, network: $0.network) })
        try await seed(nics, instance: test.vmUUID, epoch: testEpoch, into: &definition)
        try await placeFirmware(at: test.generation, for: test.vmUUID, in: &definition)
        try await hypervisor.define(xml: definition.xml)
        try await hypervisor.setAutostart(uuid: test.vmUUID, false)
        try await hypervisor.start(uuid: test.vmUUID, paused: false)
    }

    /// Looks whether the test VM runs; one that has powered itself off is no failure of the test, and is said.
    func confirmTest() async throws {
        guard let test = relationship.test else { return }
        let power = try await hosts.hypervisor(relationship.target).domain(uuid: test.vmUUID)?.power
        try await record { job, relationship, _ in
            relationship.test?.isUp = power == .running
            job.facts["testVM"] = test.vmName
            job.facts["testAddress"] = test.nics?.lazy.compactMap { $0.address?.address }.first.map { "\($0)" }
            job.facts["testEnds"] = String(test.endsAt.milliseconds)
            if power != .running {
                Self.add(["\(test.vmName) was started and is \(power?.rawValue ?? "not there") now"], to: &job)
            }
        }
    }

    func removeTest() async throws {
        guard let test = relationship.test else { return }
        let hypervisor = try await hosts.hypervisor(relationship.target)
        // A test that failed early, or one whose VM was undefined by hand, has none.
        if try await hypervisor.domain(uuid: test.vmUUID) != nil {
            try await hypervisor.destroy(uuid: test.vmUUID)
            try await hypervisor.undefine(uuid: test.vmUUID)
        }
        for network in test.networks ?? [] {
            try await hypervisor.removeNetwork(named: network.name, mark: mark(of: test))
        }
        try await hosts.agent(relationship.target).discardBootImages(relationship: relationship.id, epoch: testEpoch)
        try await reportTest(test)
    }

    /// Compares production with what it was, and puts the report in the place of the test.
    private func reportTest(_ test: TestRecord) async throws {
        let after = try await productionFacts()
        let differences = test.before?.differences(after: after) ?? []
        let unseen = test.before?.unseen(after: after) ?? []
        let isCleanUp = job.operation == .cleanUpTest
        let end = isCleanUp ? argument("end").flatMap(TestEnd.init(rawValue:)) ?? .command : .failed
        let notes = [test.notes, argument("notes")].compactMap { $0 }.joined(separator: "\n")
        let now = now
        try await record { job, relationship, vault in
            // A record of an older version is of a test that had come up.
            let passed = isCleanUp && test.isUp ?? true
            relationship.test = nil
            var report = TestReport(
                vmName: test.vmName, point: test.point, startedAt: test.startedAt, endedAt: now, end: end,
                passed: passed, differences: differences, notes: notes.isEmpty ? nil : notes)
            report.unseen = unseen.isEmpty ? nil : unseen
            relationship.lastTest = report
            if passed { relationship.lastTestFailoverAt = now }
            job.facts["passed"] = "\(passed)"
            Self.add(differences + unseen, to: &job)
            if !unseen.isEmpty {
                try vault.append(
                    Event(
                        at: now, severity: .warning, object: relationship.id,
                        text: "whether the test of \(relationship.name) changed production is not known: "
                            + unseen.joined(separator: "; "),
                        recommendation: "Look at the VM when its hosts answer again; perilune status shows it."))
            }
            guard !differences.isEmpty else { return }
            try vault.append(
                Event(
                    at: now, severity: .warning, object: relationship.id,
                    text: "while \(relationship.name) was tested, production changed: "
                        + differences.joined(separator: "; ")))
        }
    }

    /// How production and its replication stand now.
    private func productionFacts() async throws -> ProductionFacts {
        let relationship = relationship
        var facts = ProductionFacts(owner: relationship.owner, epoch: relationship.epoch)
        if let source = try await hosts.reachableHypervisor(relationship.source),
            let domain = try? await source.domain(uuid: relationship.vmUUID)
        {
            facts.power = domain.power.rawValue
            facts.autostart = domain.autostart
            for disk in domain.disks { facts.images[disk.target] = disk.path }
            if let checkpoint = relationship.checkpoint,
                let present = try? await source.checkpoints(uuid: relationship.vmUUID)
            {
                facts.tracksChanges = present.contains(checkpoint)
            }
        }
        for host in Set([relationship.source, relationship.target]).sorted() {
            guard let agent = try await hosts.reachableAgent(host),
                let record = try? await agent.ownership(relationship: relationship.id)
            else { continue }
            facts.recorded[host] = record.epoch
        }
        if let agent = try await hosts.reachableAgent(relationship.target) {
            facts.points = (try? await agent.points(relationship: relationship.id))?.map(\.number) ?? []
        }
        return facts
    }
}
