package import SiteModel
import VaultStore

/// Tests whose time is over: nobody needs to remember them.
extension RecoveryEngine {
    /// A test that is to be cleaned up, and why.
    package struct DueTest: Sendable {
        package var relationship: Relationship
        package var end: TestEnd
    }

    /// Tests past their deadline, and tests of runs that have ended or died.
    package func dueTests() async throws -> [DueTest] {
        let now = dependencies.clock.now
        return try await vault.read { vault in
            try vault.objects(Relationship.self).map(\.value).compactMap { relationship in
                guard relationship.state == .testing, relationship.activeJob == nil, let test = relationship.test else {
                    return nil
                }
                if test.endsAt <= now { return DueTest(relationship: relationship, end: .deadline) }
                guard let run = test.run, try Self.isOver(run, now: now, vault) else { return nil }
                return DueTest(relationship: relationship, end: .runEnded)
            }
        }
    }

    /// Whether a run has ended, or whoever drove it has died and nobody goes on with it.
    private static func isOver(_ run: String, now: Timestamp, _ vault: any VaultReader) throws -> Bool {
        guard let found = try vault.object(Run.self, id: run)?.value, found.endedAt == nil else { return true }
        if found.isOpen { return false }
        return try vault.lease(runLeaseName(run)).map { $0.expiresAt <= now } ?? true
    }

    /// Name of the lease that a run's process keeps alive.
    package static func runLeaseName(_ run: String) -> String { "run:\(run)" }

    /// Cleans up one test whose time is over.
    @discardableResult
    package func cleanUp(_ due: DueTest) async throws -> Job {
        try await perform(.cleanUpTest, on: due.relationship.id, arguments: ["end": due.end.rawValue])
    }

    /// Cleans up all tests whose time is over, and returns what became of each.
    ///
    /// One that cannot be cleaned up now (its host does not answer) holds up no other; it stays due.
    @discardableResult
    package func cleanUpDueTests() async throws -> [RecoveredJob] {
        var results: [RecoveredJob] = []
        for due in try await dueTests() {
            do { results.append(RecoveredJob(job: try await cleanUp(due), failure: nil)) } catch let error
                as EngineError
            {
                // Another engine was quicker.
                guard error.kind != .busy, error.rule != RuleBook.noTestToCleanUp.id else { continue }
                try await noteUncleaned(due, error)
            }
        }
        return results
    }

    /// Cleans up the tests that a run has asked for and not kept; called when the run ends.
    package func cleanUpTests(ofRun run: String) async {
        let tests = try? await vault.read { vault in
            try vault.objects(Relationship.self).map(\.value).filter { $0.test?.run == run }
        }
        for relationship in tests ?? [] {
            let due = DueTest(relationship: relationship, end: .runEnded)
            do { try await cleanUpWhenFree(due) } catch let error as EngineError {
                // It stays due: the next engine tries again.
                try? await noteUncleaned(due, error)
            } catch {}
        }
    }

    /// Waits for a cycle that has the VM to end; not for ever, since whoever asks wants to end too.
    private func cleanUpWhenFree(_ due: DueTest) async throws {
        for remaining in stride(from: Self.longestWait, through: 0, by: -1) {
            do {
                try await cleanUp(due)
                return
            } catch let error as EngineError {
                if error.rule == RuleBook.noTestToCleanUp.id { return }
                guard error.rule == RuleBook.operationInProgress.id, remaining > 0 else { throw error }
                try await dependencies.clock.sleep(seconds: 1)
            }
        }
    }

    /// Seconds that the end of a run waits for another operation on a VM that it has tested.
    private static let longestWait = 120

    private func noteUncleaned(_ due: DueTest, _ error: EngineError) async throws {
        let (now, name) = (dependencies.clock.now, due.relationship.name)
        try await vault.write { vault in
            try vault.append(
                Event(
                    at: now, severity: .warning, object: due.relationship.id,
                    text: "the test of \(name) is over (\(due.end.rawValue)) and could not be cleaned up: "
                        + "\(error.message); it is tried again"))
        }
    }
}
