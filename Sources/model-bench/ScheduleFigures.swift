import BenchFigures
import Glibc
import RecoveryEngine
import SiteModel
import Simulation
import Synchronization
import VaultStore

private let vms = 1000
/// Hosts of each site.
private let hosts = 20
/// Virtual minutes that are measured, after one that is not.
private let minutes = 5.0

/// A thousand VMs that a replicator keeps to their copy frequency of 30 s.
let scheduleFigures: [Figure] = [
    Figure(
        name: "schedule of \(vms) VMs at 30 s: processor time for a virtual minute", unit: "s",
        goal: .limit(15), ours: { try await ScheduleRun.last().processorSeconds / minutes }),
    Figure(
        name: "schedule of \(vms) VMs at 30 s: cycles that began more than 10 % late", unit: "cycles", goal: .limit(0),
        ours: { Double(try await ScheduleRun.measured().late) }),
    Figure(
        name: "schedule of \(vms) VMs at 30 s: longest that a cycle began after it was due", unit: "s", goal: .none,
        ours: { try await ScheduleRun.measured().longestDelay }),
    Figure(
        name: "schedule of \(vms) VMs at 30 s: cycles made in a virtual minute", unit: "cycles", goal: .least(1990),
        ours: { Double(try await ScheduleRun.measured().cycles) / minutes }),
]

/// What came of one run.
private struct ScheduleRun: Sendable {
    var processorSeconds: Double
    var cycles: Int
    var late: Int
    var longestDelay: Double

    /// The rows after the first show the last run of that: they are of the same minutes.
    private static let kept = Mutex<ScheduleRun?>(nil)

    static func measured() async throws -> ScheduleRun {
        if let kept = kept.withLock({ $0 }) { return kept }
        return try await last()
    }

    static func last() async throws -> ScheduleRun {
        let run = try await measure()
        kept.withLock { $0 = run }
        return run
    }

    private static func measure() async throws -> ScheduleRun {
        var state = WorldState(seed: 1)
        for site in ["a", "b"] {
            for number in 1...hosts {
                state.addHost("\(site)\(number)", site: site, networks: ["prod"], capacity: 64 << 40)
            }
        }
        var link = SimulatedLink()
        link.bytesPerSecond = 1.25e9
        state.links[SitePair("a", "b")] = link
        for number in 0..<vms {
            var vm = NewVM(name: "vm\(number)")
            vm.nics = [NewNIC(network: "prod")]
            vm.guest.writesPerSecond = 0.2
            try state.addVM(vm, at: "a\(number % hosts + 1)")
        }
        let world = World(state)
        let engine = RecoveryEngine(world.dependencies())
        let gauge = ReplicatorGauge()
        let run = try await world.run { () -> ScheduleRun in
            for host in world.hosts { try await engine.ensureHost(host) }
            let policy = try await engine.ensurePolicy(
                Policy(id: world.identifiers.next(), name: "fast", copyFrequencySeconds: 30, recoveryPoints: 2))
            let byName = Dictionary(uniqueKeysWithValues: world.hosts.map { ($0.name, $0) })
            for number in 0..<vms {
                guard let source = byName["a\(number % hosts + 1)"], let target = byName["b\(number % hosts + 1)"]
                else {
                    continue
                }
                try await engine.replicate(
                    vm: "vm\(number)", from: source, to: target, policy: policy, networks: ["prod": "prod"])
            }
            let replicator = Replicator(engine: engine, gauge: gauge) { _ in }
            let loop = Task(executorPreference: world.executor) { try await replicator.run() }
            // The first minute takes up what became overdue while all were protected.
            try await world.clock.sleep(seconds: 60)
            let (before, began) = (gauge.figures, usedProcessorSeconds())
            try await world.clock.sleep(seconds: 60 * minutes)
            let (after, ended) = (gauge.figures, usedProcessorSeconds())
            loop.cancel()
            _ = await loop.result
            return ScheduleRun(
                processorSeconds: ended - began, cycles: after.succeeded - before.succeeded,
                late: after.late - before.late, longestDelay: after.longestDelay)
        }
        guard world.violations.isEmpty else { throw BenchError(what: world.violations.joined(separator: "; ")) }
        return run
    }
}

/// Processor time that this process has used.
private func usedProcessorSeconds() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    return seconds(usage.ru_utime) + seconds(usage.ru_stime)
}
