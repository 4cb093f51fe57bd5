import Foundation
import Synchronization

/// Runs a scenario again and again, with one thing after another going wrong, and notes what came of it.
package struct Explorer: Sendable {
    let scenario: Scenario
    /// Seconds after which nothing new is begun.
    let budget: Double
    /// So many disturbances are tried, whatever the budget.
    let most: Int
    /// Executions at once.
    let lanes: Int

    package init(
        _ scenario: Scenario, budget seconds: Double, most: Int = .max,
        lanes: Int = ProcessInfo.processInfo.activeProcessorCount
    ) {
        self.scenario = scenario
        self.budget = seconds
        self.most = most
        self.lanes = max(1, lanes)
    }

    /// Orders of tasks that are tried.
    private static let orders = 50

    /// Explores, as far as the budget goes.
    package func explore() async throws -> VerifyReport {
        let began = ContinuousClock.now
        let undisturbed = try await Execution(scenario, []).run()
        var report = VerifyReport(script: scenario.script.name, undisturbed: undisturbed)
        guard undisturbed.result == .succeeded else { return report }
        let all = Self.disturbances(for: undisturbed)
        for disturbance in all { report.planned[disturbance.kind, default: 0] += 1 }
        let (scenario, budget) = (scenario, budget)
        try await withThrowingTaskGroup(of: (Disturbance, Ending).self) { group in
            var next = 0
            func begin() {
                guard next < min(all.count, most), began.duration(to: .now) < .seconds(budget) else { return }
                let disturbance = all[next]
                next += 1
                group.addTask { (disturbance, try await Execution(scenario, [disturbance]).run()) }
            }
            for _ in 0..<lanes { begin() }
            while let (disturbance, ending) = try await group.next() {
                report.note([disturbance], ending)
                begin()
            }
        }
        report.seconds = began.duration(to: .now) / .seconds(1)
        return report
    }

    /// One execution with just these.
    package func replay(_ disturbances: [Disturbance]) async throws -> VerifyReport {
        var report = VerifyReport(
            script: scenario.script.name, undisturbed: try await Execution(scenario, []).run())
        report.note(disturbances, try await Execution(scenario, disturbances).run())
        return report
    }

    /// Everything that may go wrong once, each kind spread evenly over the run, so that what a budget cuts off is thinned out and
    /// not left out.
    static func disturbances(for ending: Ending) -> [Disturbance] {
        var kinds: [[Disturbance]] = [
            Disturbance.Power.allCases.map { .refuses($0) },
            ending.sites.flatMap { site in Set(ending.jobs).sorted().map { .unreachable(site: site, second: $0) } },
            spread(1..<max(2, ending.steps)).map { .crash(step: $0) },
        ]
        for fault in Disturbance.CallFault.allCases {
            kinds.append(spread(1..<max(2, ending.calls + 1)).map { .call($0, fault) })
        }
        kinds.append((1...UInt64(orders)).map { .order($0) })
        // By turns, each kind at a pace that has all of them end together.
        let longest = kinds.map(\.count).max() ?? 0
        var all: [(place: Double, Disturbance)] = []
        for kind in kinds {
            for (index, disturbance) in kind.enumerated() {
                all.append((Double(index) * Double(longest) / Double(kind.count), disturbance))
            }
        }
        return all.sorted { $0.place < $1.place }.map(\.1)
    }

    /// The numbers of a range in an order in which each beginning lies evenly over the whole (van der Corput's, by reversed bits).
    static func spread(_ range: Range<Int>) -> [Int] {
        var width = 0
        while 1 << width < range.count { width += 1 }
        guard width > 0 else { return Array(range) }
        return (0..<(1 << width)).map { number in
            (0..<width).reduce(0) { $0 << 1 | (number >> $1) & 1 }
        }.filter { $0 < range.count }.map { range.lowerBound + $0 }
    }
}
