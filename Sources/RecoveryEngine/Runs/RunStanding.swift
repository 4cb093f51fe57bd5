package import SiteModel
import VaultStore

/// How a run stands.
package struct RunStanding: Sendable {
    package enum State: String, Sendable {
        /// Some process drives it.
        case driven
        /// It stands still, and waits for a person.
        case paused
        /// Its process has died.
        case orphaned
        case over
    }

    package var run: Run
    package var state: State
    package var driver: LeaseHolder?
    /// Seconds until another process may go on with it, should its driver be gone.
    package var freeIn: Double?

    package init(run: Run, state: State, driver: LeaseHolder? = nil, freeIn: Double? = nil) {
        self.run = run
        self.state = state
        self.driver = driver
        self.freeIn = freeIn
    }
}

extension RecoveryEngine {
    /// All runs, the newest first; only those that are not over, if so asked.
    package func runStandings(open: Bool) async throws -> [RunStanding] {
        let runs = try await vault.read { try $0.objects(Run.self).map(\.value) }
            .filter { !open || $0.endedAt == nil }.sorted { ($0.startedAt, $0.id) > ($1.startedAt, $1.id) }
        var standings: [RunStanding] = []
        for run in runs { standings.append(try await runStanding(of: run)) }
        return standings
    }

    package func runStanding(of run: Run) async throws -> RunStanding {
        if run.endedAt != nil { return RunStanding(run: run, state: .over) }
        let now = dependencies.clock.now
        let lease = try await vault.read { try $0.lease(Self.runLeaseName(run.id)) }
        if let lease, now < lease.expiresAt {
            return RunStanding(
                run: run, state: .driven, driver: LeaseHolder(lease.holder), freeIn: lease.expiresAt.seconds(since: now)
            )
        }
        return RunStanding(run: run, state: run.pause == nil ? .orphaned : .paused)
    }
}
