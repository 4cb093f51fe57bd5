/// Something that is wrong with an object's health, in words for the person who mends it (reference 1.16).
package struct HealthError: Codable, Hashable, Sendable {
    package enum Level: String, Codable, Sendable, CaseIterable { case warning, critical }
    package enum Category: String, Codable, Sendable, CaseIterable {
        case replication, testFailover = "test-failover", configuration, infrastructure, version
    }

    /// Stable word for the fault ("cycles-missed").
    package var code: String
    package var level: Level
    package var category: Category
    package var message: String
    package var causes: [String]
    package var recommendation: String
    package var at: Timestamp
    /// Id of the object concerned.
    package var object: String?

    package init(
        code: String, level: Level, category: Category, message: String, causes: [String] = [],
        recommendation: String, at: Timestamp, object: String? = nil
    ) {
        self.code = code
        self.level = level
        self.category = category
        self.message = message
        self.causes = causes
        self.recommendation = recommendation
        self.at = at
        self.object = object
    }
}
