/// One row: what is measured, beside what, the goal, and where a change has made it worse.
package struct Figure: Sendable {
    /// What the goal is about.
    package enum Goal: Sendable {
        /// Ours divided by the peer's.
        case ratio(Double)
        /// Ours, against so many times the peer's and something on top, in the unit.
        case ratioPlus(Double, Double)
        /// Ours alone.
        case limit(Double)
        /// Ours alone, and more is better.
        case least(Double)
        /// None: shown for information.
        case none
    }

    /// Where a change has made it slower, whatever the machine.
    ///
    /// The goal is what is promised, and may be missed on a machine that is busy or unlike others. The bound lies beyond
    /// what is usual by a quarter or so, so that only a change passes it.
    package enum Bound: Sendable {
        /// Of ours divided by the peer's.
        case ratio(Double)
        /// Of ours alone. A time counts as it stands on a machine on which the peer takes the second figure; one on which
        /// the peer takes half as long again in the same run allows half as much again.
        case limit(Double, whenPeerTakes: Double? = nil)
    }

    package let name: String
    package let unit: String
    package let goal: Goal
    /// Nil where only the goal counts, and for rows that are for information.
    package let bound: Bound?
    /// Measures once; in the unit.
    package let ours: @Sendable () async throws -> Double
    package let peerName: String
    package let peer: (@Sendable () async throws -> Double)?

    package init(
        name: String, unit: String, goal: Goal, bound: Bound? = nil,
        ours: @escaping @Sendable () async throws -> Double,
        peerName: String = "", peer: (@Sendable () async throws -> Double)? = nil
    ) {
        self.name = name
        self.unit = unit
        self.goal = goal
        self.bound = bound
        self.ours = ours
        self.peerName = peerName
        self.peer = peer
    }
}
