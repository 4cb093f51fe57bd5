/// Which groups wait for which, within plans and across them.
///
/// A node is `plan/group`. Only boot groups are nodes: the steps before them have their fixed places.
package struct PlanGraph: Sendable {
    /// What each node waits for, in the order written.
    private var edges: [String: [String]] = [:]
    private var order: [String] = []

    package init(_ plans: [RecoveryPlan]) {
        let byName = Dictionary(plans.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        for plan in plans {
            let outer = plan.dependsOn.flatMap { other in
                byName[other]?.bootGroups.map { Self.node(other, $0.name) } ?? []
            }
            for group in plan.bootGroups {
                let node = Self.node(plan.name, group.name)
                order.append(node)
                edges[node] = Self.needed(by: group, in: plan) + outer
            }
        }
    }

    package static func node(_ plan: String, _ group: String) -> String { "\(plan)/\(group)" }

    /// What a group waits for by its own word, as nodes.
    package static func needed(by group: PlanGroup, in plan: RecoveryPlan) -> [String] {
        let boot = plan.bootGroups
        if let named = group.dependsOn { return named.map { $0.contains("/") ? $0 : node(plan.name, $0) } }
        guard let place = boot.firstIndex(where: { $0.name == group.name }), place > 0 else { return [] }
        return [node(plan.name, boot[place - 1].name)]
    }

    package func needed(by node: String) -> [String] { edges[node] ?? [] }

    /// A chain of nodes that leads back to its first one; nil when there is none.
    ///
    /// The first in the order of plans and groups is given, so that the answer is always the same.
    package var cycle: [String]? {
        // 1: on the path that is followed, 2: known to lead to no cycle. A stack of its own: chains may be long.
        var marks: [String: Int] = [:]
        for start in order where marks[start] == nil {
            var path: [(node: String, next: Int)] = [(start, 0)]
            marks[start] = 1
            while let top = path.last {
                let needed = needed(by: top.node)
                guard top.next < needed.count else {
                    marks[top.node] = 2
                    path.removeLast()
                    continue
                }
                path[path.count - 1].next += 1
                let next = needed[top.next]
                if marks[next] == 1, let first = path.firstIndex(where: { $0.node == next }) {
                    return path[first...].map(\.node) + [next]
                }
                guard marks[next] == nil else { continue }
                marks[next] = 1
                path.append((next, 0))
            }
        }
        return nil
    }
}
