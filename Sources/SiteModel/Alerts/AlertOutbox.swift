/// What waits to be told under one rule, and what was told: kept in the vault, so that no crash loses or repeats much.
///
/// A message collects what happens in a minute; the same of the same object is told once while it lasts. So a lost site with
/// a thousand VMs is a message or two, not a thousand.
package struct AlertOutbox: SiteObject {
    package static let kind = "alert-outbox"
    /// Seconds between two messages of one rule.
    package static let gap = 60.0
    /// Events in one message, the others are counted.
    package static let mostEvents = 50
    /// Objects and topics that are remembered as raised.
    private static let mostRaised = 5000
    /// How often a message is tried before it is given up.
    package static let attempts = 8

    /// The rule's.
    package var id: String
    package var name: String { "outbox" }
    package var parent: String? { id }

    /// Number of the newest event that was looked at.
    package var cursor: Int
    /// What was told and is not over, by object and topic.
    package var raised: [String: Raised]
    package var collected: [AlertItem]
    /// Told of in the next message as a number only.
    package var suppressed: Int
    package var lastMessageAt: Timestamp?
    /// The message that is on its way.
    package var message: AlertMessage?

    package struct Raised: Codable, Hashable, Sendable {
        package var severity: Event.Severity
        package var at: Timestamp
    }

    package init(rule: String, cursor: Int) {
        id = rule
        self.cursor = cursor
        raised = [:]
        collected = []
        suppressed = 0
    }
}

/// One event of a message.
package struct AlertItem: Codable, Hashable, Sendable {
    package var at: Timestamp
    package var severity: Event.Severity
    package var topic: AlertTopic
    /// Name of the object that it is about.
    package var object: String?
    package var code: String?
    package var text: String
    package var recommendation: String?
    /// Whether it ends what an earlier message told of.
    package var isOver: Bool

    package init(
        at: Timestamp, severity: Event.Severity, topic: AlertTopic, object: String?, code: String?, text: String,
        recommendation: String?, isOver: Bool
    ) {
        self.at = at
        self.severity = severity
        self.topic = topic
        self.object = object
        self.code = code
        self.text = text
        self.recommendation = recommendation
        self.isOver = isOver
    }
}

/// What is sent at once.
package struct AlertMessage: Codable, Hashable, Sendable {
    /// The same each time that it is tried: receivers can tell a repetition by it.
    package var id: String
    package var items: [AlertItem]
    package var suppressed: Int
    package var createdAt: Timestamp
    package var attempts = 0
    package var nextAttemptAt: Timestamp

    package var severity: Event.Severity { items.map(\.severity).max() ?? .info }

    package init(id: String, items: [AlertItem], suppressed: Int, createdAt: Timestamp) {
        self.id = id
        self.items = items
        self.suppressed = suppressed
        self.createdAt = createdAt
        nextAttemptAt = createdAt
    }
}

extension AlertOutbox {
    /// Takes an event in, if the rule wants it told.
    package mutating func collect(_ event: NumberedAlertEvent, under rule: AlertRule) {
        cursor = max(cursor, event.number)
        guard let topic = AlertTopic(of: event.event), rule.topics.contains(topic) else { return }
        let key = "\(event.event.object ?? "")/\(topic.rawValue)"
        let isOver = event.event.code == "health-normal" || event.event.code == "age-normal"
        if isOver {
            guard raised.removeValue(forKey: key) != nil else { return }
        } else {
            guard event.event.severity >= rule.severity else { return }
            if let before = raised[key], before.severity >= event.event.severity,
                event.event.at.seconds(since: before.at) < Double(rule.quietSeconds)
            {
                suppressed += 1
                return
            }
            raised[key] = Raised(severity: event.event.severity, at: event.event.at)
            if raised.count > Self.mostRaised,
                let oldest = raised.min(by: { ($0.value.at, $0.key) < ($1.value.at, $1.key) })
            {
                raised[oldest.key] = nil
            }
        }
        guard collected.count < Self.mostEvents else {
            suppressed += 1
            return
        }
        collected.append(
            AlertItem(
                at: event.event.at, severity: event.event.severity, topic: topic, object: event.object,
                code: event.event.code, text: event.event.text, recommendation: event.event.recommendation,
                isOver: isOver))
    }

    /// The message to be sent now, if there is one: one that failed before, or a new one of what was collected.
    package mutating func due(at now: Timestamp, id: String) -> AlertMessage? {
        if let message { return message.nextAttemptAt <= now ? message : nil }
        guard !collected.isEmpty, lastMessageAt.map({ now.seconds(since: $0) >= Self.gap }) ?? true else { return nil }
        let made = AlertMessage(id: id, items: collected, suppressed: suppressed, createdAt: now)
        (message, collected, suppressed, lastMessageAt) = (made, [], 0, now)
        return made
    }

    /// The message was taken by its receiver.
    package mutating func noteDelivered() { message = nil }

    /// The message was not taken: it is tried again later, at first after 10 s and then after twice as long each time.
    ///
    /// - Returns: whether it was given up.
    package mutating func noteFailed(at now: Timestamp, lasting: Bool) -> Bool {
        guard var failed = message else { return false }
        failed.attempts += 1
        guard failed.attempts < Self.attempts, !lasting else {
            message = nil
            return true
        }
        failed.nextAttemptAt = now.advanced(bySeconds: min(900, 10 * Double(1 << min(20, failed.attempts - 1))))
        message = failed
        return false
    }
}

/// An event with its number and the name of its object.
package struct NumberedAlertEvent: Sendable {
    package var number: Int
    package var event: Event
    package var object: String?

    package init(number: Int, event: Event, object: String?) {
        self.number = number
        self.event = event
        self.object = object
    }
}
