import BlockReplication
import Hypervisors
import RecoveryEngine
import SiteModel
import Simulation
import VaultStore

/// What was found that must not be.
struct Broken: Error, Hashable, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Plays moves in a world, through one engine after another on one vault, and checks after each that all is as it must be.
actor Play {
    let site: RandomSite
    let vault: MemoryVault
    private(set) var life = EngineLife()
    private(set) var engine: RecoveryEngine
    private var engines = 0
    var memory = Memory()
    var played = RandomSequence(seed: 0)

    var world: World { site.world }

    init(_ site: RandomSite) {
        self.site = site
        // Some with documents, so that what does not come back from one as it went in is found too.
        vault = MemoryVault(keepsDocuments: site.seed % 8 == 0)
        engine = Self.engine(0, site.world, vault, life)
    }

    private static func engine(_ number: Int, _ world: World, _ vault: any Vault, _ life: EngineLife) -> RecoveryEngine
    {
        var dependencies = world.dependencies(vault: vault, holder: "engine-\(number)", life: life)
        dependencies.localOffset = { _ in 0 }
        // So short that first copies take several.
        dependencies.legSeconds = 2
        return RecoveryEngine(dependencies)
    }

    /// Registers hosts, clouds, policy, pair and mappings.
    func setUp() async throws {
        for host in world.hosts { try await engine.ensureHost(host) }
        let server = try await engine.ensureServer(
            name: "vmm", managementVM: site.hasManagementVM ? RandomSite.managementVM : nil)
        let gold = try await engine.ensureCloud(
            name: "gold", server: server.id, hosts: site.hosts.filter { $0.hasPrefix("a") })
        let silver = try await engine.ensureCloud(
            name: "silver", server: server.id, hosts: site.hosts.filter { $0.hasPrefix("b") })
        var policy = Policy(
            id: world.identifiers.next(), name: "fast", copyFrequencySeconds: 30, recoveryPoints: site.recoveryPoints)
        policy.deleteReplica = !site.keepsReplica
        try await engine.ensurePair(primary: gold, recovery: silver, policy: try await engine.ensurePolicy(policy))
        try await engine.ensureNetworkMapping(
            cloud: gold, network: "prod-a", targetCloud: silver, targetNetwork: "prod-b")
        if site.hasManagementVM {
            let hosts = try await vault.read { try $0.objects(SiteModel.Host.self).map(\.value) }
            guard let home = hosts.first(where: { $0.name == "a1" }), let away = hosts.first(where: { $0.name == "b1" })
            else { throw Broken("a host is gone from the vault") }
            try await engine.replicate(
                vm: RandomSite.managementVM, from: home, to: away, policy: try await engine.ensurePolicy(policy),
                networks: ["prod-a": "prod-b"])
        }
        memory.vault = try await vaultNumbers()
    }

    // MARK: Moves

    func play(_ move: Move) async throws {
        try await make(move, alone: true)
        if life.isOver { replaceEngine() }
        try await check()
    }

    private func make(_ move: Move, alone: Bool) async throws {
        switch move {
        case .protect(let vm, let later): try await protect(vm, later: later, alone: alone)
        case .operation(let operation, let vm, let arguments):
            try await operate(operation, vm, arguments, alone: alone)
        case .plan(let operation, let arguments): try await run(operation, arguments)
        case .during(let first, let after, let second):
            let clock = world.clock
            async let one: Void = make(first, alone: false)
            async let other: Void = {
                await clock.pass(seconds: after)
                try await self.make(second, alone: false)
            }()
            _ = try await (one, other)
        case .crash(let move, let steps):
            life.end(afterSteps: steps)
            try await make(move, alone: false)
            // One that needed fewer steps dies all the same.
            life.end()
            replaceEngine()
        case .recover:
            _ = try await answered { try await self.engine.recoverOpenJobs() }
        case .watch: try await watch()
        case .cleanUpDueTests: _ = try await answered { try await self.engine.cleanUpDueTests() }
        case .wait(let seconds): await world.clock.pass(seconds: seconds)
        case .write(let vm):
            for host in world.running(vm) { try world.write(vm, at: host, length: 64 << 10) }
        case .incident(let incident): try await befall(incident)
        }
    }

    /// The engine is dead: its place is taken by another, once what was on its way for it has come to nothing.
    private func replaceEngine() {
        engines += 1
        life = EngineLife()
        engine = Self.engine(engines, world, vault, life)
    }

    func watch() async throws {
        let engine = engine
        _ = try await answered { try await SiteWatch(engine: engine) { _ in }.look() }
        memory.watched = true
    }

    /// An answer of the engine, or nil when it is refused or the engine died; any other kind of error is broken.
    @discardableResult
    private func answered<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result? {
        let life = life
        do { return try await body() } catch let error as EngineError {
            if !life.isOver { try Self.checkWords(error) }
            return nil
        } catch {
            if life.isOver { return nil }
            throw Broken("an error of another module came through: \(type(of: error)): \(error)")
        }
    }

    static func checkWords(_ error: EngineError) throws {
        if error.kind == .refused, error.rule == nil || (error.hint ?? "").isEmpty {
            throw Broken("refused without a rule or a hint: \(error.message)")
        }
        if error.message.isEmpty { throw Broken("an error without words: \(error.kind)") }
        if (error.hint ?? "").isEmpty { throw Broken("an error that does not say what to do: \(error.message)") }
    }

    private func protect(_ vm: String, later: Bool, alone: Bool) async throws {
        if vm == RandomSite.managementVM { return try await operate(.protect, vm, [:], alone: alone) }
        let cloud = try await vault.read { try $0.objects(Cloud.self).map(\.value).first { $0.name == "gold" } }
        guard let cloud else { throw Broken("cloud gold is gone") }
        let before = try await snapshot()
        let options = later ? ProtectOptions(startAfter: 600) : ProtectOptions()
        do {
            try await engine.protect(vm: vm, in: cloud, options: options)
        } catch {
            try await refusal(error, of: "protect \(vm)", before, alone: alone && !later)
        }
    }

    private func operate(
        _ operation: SiteModel.Operation, _ vm: String, _ arguments: [String: String], alone: Bool
    ) async throws {
        guard let relationship = try await relationship(vm) else { return }
        let before = try await snapshot()
        do {
            let job = try await engine.perform(operation, on: relationship.id, arguments: arguments)
            guard alone, !life.isOver else { return }
            try await checkSuccess(job, vm)
        } catch {
            try await refusal(error, of: "\(operation.rawValue) \(vm)", before, alone: alone)
        }
    }

    /// What becomes of each VM is checked as after any move; the run itself ends with a report or the engine's words.
    private func run(_ operation: PlanOperation, _ arguments: [String: String]) async throws {
        let items = Set(try await vault.read { try $0.objects(ProtectedItem.self).map(\.value.name) })
        let vms = site.vms.filter(items.contains)
        guard !vms.isEmpty else { return }
        // The first VM before the others.
        let groups = [
            PlanGroup(name: "first", vms: Array(vms.prefix(1))), PlanGroup(name: "others", vms: Array(vms.dropFirst())),
        ]
        let draft = PlanReader.Draft(
            name: "all", source: "vmm", target: "vmm", groups: groups.filter { !$0.vms.isEmpty }, dependsOn: [])
        _ = try await answered {
            let plan = try await self.engine.ensurePlan(draft)
            _ = try await self.engine.run(plan, PlanRunOptions(operation, arguments: arguments))
        }
    }

    private func checkSuccess(_ job: Job, _ vm: String) async throws {
        guard job.state == .succeeded else { throw Broken("a job that came back is \(job.state.rawValue)") }
        guard let relationship = try await relationship(vm) else { throw Broken("\(vm) is gone from the vault") }
        let firstCopy = job.facts["firstCopy"].flatMap(Policy.FirstCopy.init(rawValue:)) ?? .now
        guard
            case .allowed(_, let after) = TransitionTable.transition(
                from: job.origin, job.operation, firstCopy: firstCopy)
        else { throw Broken("\(job.operation.rawValue) of \(vm) went from \(job.origin), where no rule leads") }
        if relationship.state != after {
            throw Broken(
                "\(job.operation.rawValue) of \(vm) from \(job.origin.rawValue) led to \(relationship.state.rawValue), "
                    + "and not to \(after.rawValue)")
        }
        // What a copy wrote that somebody started by hand after the failover had begun is kept there, and is not part of it.
        if job.operation == .plannedFailover, relationship.formerCopy == nil,
            world.running(vm).contains(relationship.target)
        {
            let loss = try world.loss(of: vm, from: relationship.source, to: relationship.target)
            if loss.writes > 0 { throw Broken("a planned failover of \(vm) lost \(loss.writes) writes") }
        }
    }

    /// What is refused has changed nothing; what failed says so in the engine's words.
    private func refusal(_ error: any Error, of what: String, _ before: Snapshot, alone: Bool) async throws {
        if life.isOver { return }
        guard let error = error as? EngineError else {
            throw Broken("\(what): an error of another module came through: \(type(of: error)): \(error)")
        }
        try Self.checkWords(error)
        guard error.kind == .refused || error.kind == .invalid, alone, !before.hasOpenJob else { return }
        let after = try await snapshot()
        // A rule may also be found broken by a stage, in the middle of a job: then the job has failed.
        guard after.jobs == before.jobs else { return }
        if after.vault != before.vault {
            throw Broken("\(what) was refused (\(error.rule ?? error.message)), and the vault has changed")
        }
        let changed =
            after.world.filter { before.world[$0.key] != $0.value }.map(\.key)
            + before.world.keys.filter { after.world[$0] == nil }
        if !changed.isEmpty {
            throw Broken(
                "\(what) was refused (\(error.rule ?? error.message)), and the world has changed: "
                    + changed.sorted().joined(separator: ", "))
        }
    }

    // MARK: Looking

    func relationship(_ vm: String) async throws -> Relationship? {
        try await vault.read { try $0.object(Relationship.self, named: vm, parent: nil)?.value }
    }

    struct VaultNumbers: Hashable, Sendable {
        var change: Int
        var event: Int
    }

    func vaultNumbers() async throws -> VaultNumbers {
        try await vault.read { VaultNumbers(change: try $0.changeNumber(), event: try $0.lastEventNumber()) }
    }

    private struct Snapshot {
        var vault: VaultNumbers
        var jobs: Int
        var hasOpenJob: Bool
        var world: [String: Int]
    }

    private func snapshot() async throws -> Snapshot {
        let began = memory.vault.change
        let (jobs, hasOpen) = try await vault.read { vault in
            (try vault.objects(Job.self, changedAfter: began).count, try !vault.openJobs().isEmpty)
        }
        return Snapshot(
            vault: try await vaultNumbers(), jobs: jobs, hasOpenJob: hasOpen, world: world.look(\.fingerprint))
    }

    // MARK: Incidents

    /// The disk gets the size that is replicated, where it is.
    func shrinkBack(_ vm: String, at host: String) async throws {
        let disk = try await relationship(vm)?.disks.first { $0.target == "vda" }
        try? world.resize(vm, at: host, to: disk?.size ?? RandomSite.diskSize)
    }

    private func befall(_ incident: Incident) async throws {
        switch incident {
        case .loseHost(let host): world.lose(host: host)
        case .cutOff(let host): world.change { $0.hosts[host]?.isCutOff = true }
        case .restoreHost(let host):
            world.restore(host: host)
            memory.watched = false
        case .cutLink: world.setLink("a", "b", cut: true)
        case .mendLink: world.setLink("a", "b", cut: false)
        case .fill(let host): world.fill(host, leaving: 4096)
        case .empty(let host): world.change { $0.hosts[host]?.ballast = 0 }
        case .kill(let vm, let host): try? world.kill(vm, at: host)
        case .powerOff(let vm, let host): try? world.powerOff(vm, at: host)
        case .startByHand(let vm, let host):
            let isUp = world.look { $0.hosts[host]?.isUp == true }
            if isUp { _ = try? world.startByHand(vm, at: host, hook: true) }
        case .grow(let vm, let host):
            // Where it runs: nobody grows the disk of a replica.
            if try await relationship(vm).map({ $0.owner == host }) ?? true {
                try? world.resize(vm, at: host, to: RandomSite.diskSize * 2)
            }
        case .shrinkBack(let vm, let host): try await shrinkBack(vm, at: host)
        case .stubborn(let vm, let stubborn):
            for host in site.hosts { try? world.setGuest(vm, at: host) { $0.ignoresPowerButton = stubborn } }
        case .putBack(let vm):
            // With nothing under way that would be mixed up with it.
            guard let relationship = try await relationship(vm), relationship.activeJob == nil,
                relationship.failover == nil, relationship.test == nil
            else { return }
            if let gone = world.loseNewestPoint(of: relationship.id, at: relationship.target) {
                memory.gone.insert(gone)
            }
        case .fence(let host, let works): world.change { $0.hosts[host]?.fence = works ? .works : .fails }
        case .fault(let call, let host, let losesAnswer):
            var fault = Fault(losesAnswer ? .losesAnswer : .fails, call: call, host: host)
            fault.times = 1
            world.add(fault)
        case .clearFaults: world.clearFaults()
        }
    }
}
