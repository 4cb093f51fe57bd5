package import SiteModel
import VaultStore

/// Rules of who is told, and telling them.
extension RecoveryEngine {
    /// Makes or changes a rule; what happened before it was made is not told.
    @discardableResult
    package func ensureAlert(_ wanted: AlertRule) async throws -> AlertRule {
        try Self.check(wanted, "alert '\(wanted.name)'")
        return try await vault.write { vault in
            if var present = try vault.object(AlertRule.self, named: wanted.name, parent: nil) {
                var changed = wanted
                changed.id = present.value.id
                guard changed != present.value else { return changed }
                present.value = changed
                return try vault.update(present).value
            }
            try vault.insert(wanted)
            try vault.insert(AlertOutbox(rule: wanted.id, cursor: try vault.lastEventNumber()))
            return wanted
        }
    }

    package func removeAlert(named name: String) async throws {
        try await vault.write { vault in
            guard let rule = try vault.object(AlertRule.self, named: name, parent: nil) else {
                throw Self.unknownAlert(name, try vault.objects(AlertRule.self).map(\.value.name))
            }
            if let outbox = try vault.object(AlertOutbox.self, id: rule.value.id) { try vault.delete(outbox) }
            try vault.delete(rule)
        }
    }

    package func alert(named name: String) async throws -> AlertRule {
        let (found, all) = try await vault.read { vault in
            (
                try vault.object(AlertRule.self, named: name, parent: nil)?.value,
                try vault.objects(AlertRule.self).map(\.value.name)
            )
        }
        guard let found else { throw Self.unknownAlert(name, all) }
        return found
    }

    private static func unknownAlert(_ name: String, _ known: [String]) -> EngineError {
        let nearest = Nearest.suggestion(for: name, among: known)
        return EngineError(
            .unknown, "the vault has no alert '\(name)'",
            hint: nearest.map { "did you mean '\($0)'?" }
                ?? (known.isEmpty
                    ? "it has none yet: vault:alert makes one" : "it has: \(known.joined(separator: ", "))"),
            object: name)
    }

    /// Sends a message under a rule now, to see whether it arrives.
    package func testAlert(named name: String, via sender: any AlertSender) async throws {
        let rule = try await alert(named: name)
        let now = dependencies.clock.now
        let item = AlertItem(
            at: now, severity: .info, topic: .other, object: nil, code: "alert-test",
            text: "test of alert \(rule.name): nothing has happened", recommendation: nil, isOver: false)
        let message = AlertMessage(
            id: dependencies.identifiers.next(), items: [item], suppressed: 0, createdAt: now)
        let vault = await vaultName()
        do throws(AlertFailure) {
            try await sender.send(message, of: rule, from: vault)
        } catch {
            throw EngineError(
                .failed, "the test of alert '\(name)' did not arrive: \(error.message)", hint: error.hint, object: name)
        }
    }

    private func vaultName() async -> String {
        let record = try? await vault.read { try $0.objects(VaultRecord.self).first?.value.name }
        return record ?? VaultRecord.defaultName
    }
}

// MARK: Telling

extension RecoveryEngine {
    private static let lease = "alerts"
    private static let leaseSeconds = 90.0
    /// Events looked at in one round of a rule.
    private static let batch = 1000

    /// Collects what happened since the last round, and sends what is due; one engine at a time does so for a vault.
    package func sendAlerts(via sender: any AlertSender) async throws {
        let rules = try await vault.read { try $0.objects(AlertRule.self).map(\.value) }
        guard !rules.isEmpty, let lease = try await alertLease() else { return }
        let name = await vaultName()
        for rule in rules {
            guard let message = try await collect(rule, lease) else { continue }
            var failure: AlertFailure?
            do throws(AlertFailure) {
                try await sender.send(message, of: rule, from: name)
            } catch {
                failure = error
            }
            try await note(message, of: rule, failure, lease)
        }
        try await vault.write { try $0.release(lease) }
    }

    private func alertLease() async throws -> Lease? {
        let dependencies = dependencies
        do {
            return try await vault.write {
                try $0.acquireLease(
                    Self.lease, holder: dependencies.holder, now: dependencies.clock.now, lifetime: Self.leaseSeconds)
            }
        } catch let error as VaultError where error.code == .leaseHeld {
            return nil
        }
    }

    /// Takes in what is new, and returns the message to be sent now.
    private func collect(_ rule: AlertRule, _ lease: Lease) async throws -> AlertMessage? {
        let (now, id) = (dependencies.clock.now, dependencies.identifiers.next())
        return try await vault.write { vault in
            // Sending may have taken long.
            _ = try vault.renew(lease, now: now, lifetime: Self.leaseSeconds)
            guard var outbox = try vault.object(AlertOutbox.self, id: rule.id) else { return nil }
            let before = outbox.value
            for event in try vault.events(after: outbox.value.cursor, limit: Self.batch) {
                outbox.value.collect(
                    NumberedAlertEvent(
                        number: event.number, event: event.event, object: try Self.name(of: event.event.object, vault)),
                    under: rule)
            }
            let due = outbox.value.due(at: now, id: id)
            if outbox.value != before { try vault.update(outbox) }
            return due
        }
    }

    private static func name(of object: String?, _ vault: any VaultReader) throws -> String? {
        guard let object else { return nil }
        return try vault.object(Relationship.self, id: object)?.value.name ?? vault.object(Host.self, id: object)?.value
            .name
            ?? vault.object(Server.self, id: object)?.value.name
    }

    /// Keeps what came of a message.
    private func note(
        _ message: AlertMessage, of rule: AlertRule, _ failure: AlertFailure?, _ lease: Lease
    ) async throws {
        let now = dependencies.clock.now
        try await vault.write { vault in
            _ = try vault.renew(lease, now: now, lifetime: Self.leaseSeconds)
            guard var outbox = try vault.object(AlertOutbox.self, id: rule.id), outbox.value.message?.id == message.id
            else {
                return
            }
            func tell(_ severity: Event.Severity, _ text: String, _ code: String) throws {
                try vault.append(
                    Event(
                        at: now, severity: severity, object: rule.id, text: "alert \(rule.name): \(text)", code: code,
                        recommendation: failure?.hint))
            }
            let what = message.items.count == 1 ? "1 event" : "\(message.items.count) events"
            if let failure {
                let isGivenUp = outbox.value.noteFailed(at: now, lasting: failure.isLasting)
                if isGivenUp {
                    try tell(.critical, "the message of \(what) was given up: \(failure.message)", "alert-given-up")
                } else if message.attempts == 0 {
                    try tell(.warning, "the message of \(what) did not arrive yet: \(failure.message)", "alert-delayed")
                }
            } else {
                outbox.value.noteDelivered()
                try tell(.info, "told of \(what)", "alert-delivered")
            }
            try vault.update(outbox)
        }
    }
}

extension Duty {
    /// Tells those whom the vault's alerts name.
    package static func sendAlerts(via sender: any AlertSender) -> Duty {
        Duty("send-alerts", every: 5) { try await $0.sendAlerts(via: sender) }
    }
}
