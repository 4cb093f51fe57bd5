import SiteModel

/// Runs groups as soon as what they wait for is through: those that wait for nothing of each other side by side.
struct PlanSchedule: Sendable {
    /// Names of the groups that each group waits for, within the plan.
    private let needed: [String: Set<String>]
    private let groups: [PlanGroup]

    /// - Parameter backwards: whether each group waits for those that wait for it, as a clean-up does.
    init(_ plan: RecoveryPlan, backwards: Bool = false) {
        let boot = plan.bootGroups
        var needed = Dictionary(boot.map { ($0.name, Set<String>()) }, uniquingKeysWith: { first, _ in first })
        for group in boot {
            for node in PlanGraph.needed(by: group, in: plan) {
                guard let other = boot.first(where: { PlanGraph.node(plan.name, $0.name) == node }) else { continue }
                if backwards {
                    needed[other.name, default: []].insert(group.name)
                } else {
                    needed[group.name, default: []].insert(other.name)
                }
            }
        }
        self.needed = needed
        groups = backwards ? boot.reversed() : boot
    }

    /// Calls `body` for each group; begins no further group once `isStopped` says so.
    func run(
        isStopped: @escaping @Sendable () async -> Bool, _ body: @escaping @Sendable (PlanGroup) async throws -> Void
    ) async throws {
        var waiting = groups
        var done: Set<String> = []
        try await withThrowingTaskGroup(of: String.self) { tasks in
            while true {
                if await !isStopped() {
                    let ready = waiting.filter { needed[$0.name, default: []].isSubset(of: done) }
                    waiting.removeAll { group in ready.contains { $0.name == group.name } }
                    for group in ready {
                        tasks.addTask {
                            try await body(group)
                            return group.name
                        }
                    }
                }
                guard let name = try await tasks.next() else { return }
                done.insert(name)
            }
        }
    }
}

/// Calls `body` for each element, at most `limit` at once.
func forEach<Element: Sendable>(
    _ elements: [Element], limit: Int, _ body: @escaping @Sendable (Element) async throws -> Void
) async throws {
    try await withThrowingTaskGroup(of: Void.self) { tasks in
        for (index, element) in elements.enumerated() {
            if index >= limit { try await tasks.next() }
            tasks.addTask { try await body(element) }
        }
        try await tasks.waitForAll()
    }
}
