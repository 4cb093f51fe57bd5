extension RuleBook {
    /// The page of the state machine and its rules, as Markdown; docs/rules.md is this text.
    package static func markdown() -> String {
        """
        # Which operation may follow which

        This page is generated from the table and the rules in `Sources/SiteModel/Rules`; a test keeps it equal to them.
        Sources name sections of the collected facts about site recovery between two management servers' clouds.

        ## Allowed operations

        | state | operation | state while it works | state when it has succeeded |
        | --- | --- | --- | --- |
        \(allowedRows.joined(separator: "\n"))

        A scheduled or offline first copy leaves a protected VM `\(ReplicationState.firstCopyPending.rawValue)`. An \
        operation that fails leaves the state in which it began; one that had to end a copy first leaves that copy \
        outstanding (`\(TransitionTable.afterFailure(of: .unprotect, from: .firstCopy).rawValue)`, \
        `\(TransitionTable.afterFailure(of: .unprotect, from: .resynchronizing).rawValue)`). A first copy that fails once a \
        part of it is at the target is outstanding \
        (`\(TransitionTable.afterFailure(of: .protect, from: .unprotected, keepingFirstCopy: true).rawValue)`).

        What replication finds out by itself: that it must stop until a person has looked leaves a protected VM in \
        `\(ReplicationState.error.rawValue)`; that the sides have diverged leaves it in \
        `\(ReplicationState.resyncRequired.rawValue)`. decisions/0009 says which findings there are.

        ## What comes next

        What `item:next()` recommends, first to last, where the facts allow it.

        | state | how it goes on | operations |
        | --- | --- | --- |
        \(adviceRows.joined(separator: "\n"))

        ## Refused operations

        | state | rule | operations |
        | --- | --- | --- |
        \(refusedRows.joined(separator: "\n"))

        ## Rules of order

        \(list(order))
        ## Rules about the sites

        Asked when the state allows the operation.

        \(list(facts))
        ## Rules of setup

        \(list(setup))

        ## Rules of registering, joining and taking away

        \(list(site))
        """
    }

    private static var allowedRows: [String] {
        ReplicationState.allCases.flatMap { state in
            Operation.allCases.compactMap { operation in
                guard case .allowed(let during, let after) = TransitionTable.transition(from: state, operation) else {
                    return nil
                }
                return "| \(state.rawValue) | \(operation.rawValue) | \(during.rawValue) | \(after.rawValue) |"
            }
        }
    }

    private static var adviceRows: [String] {
        ReplicationState.allCases.map { state in
            let steps = Advice.steps(in: state).map { "\($0.operation.rawValue): \($0.why)" }
            return
                "| \(state.rawValue) | \(Advice.summary(of: state)) | \(steps.isEmpty ? "-" : steps.joined(separator: "<br>")) |"
        }
    }

    private static var refusedRows: [String] {
        ReplicationState.allCases.flatMap { state in
            all.compactMap { rule in
                let operations = Operation.allCases.filter {
                    TransitionTable.transition(from: state, $0) == .refused(rule)
                }
                guard !operations.isEmpty else { return nil }
                let names = operations.map(\.rawValue).joined(separator: ", ")
                return "| \(state.rawValue) | \(rule.id) | \(names) |"
            }
        }
    }

    private static func list(_ rules: [Rule]) -> String {
        rules.map { "### \($0.id)\n\n\($0.sentence)\n\n- Instead: \($0.hint)\n- Source: \($0.source)\n\n" }.joined()
    }
}
