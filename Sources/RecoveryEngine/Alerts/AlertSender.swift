package import SiteModel

/// Brings a message to where a rule says.
package protocol AlertSender: Sendable {
    /// - Throws: `AlertFailure`; its message names host and port at most, never a path, a token or a password.
    func send(_ message: AlertMessage, of rule: AlertRule, from vault: String) async throws(AlertFailure)
}

/// Why a message did not arrive.
package struct AlertFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package var message: String
    package var hint: String
    /// Whether trying again without a change is of no use.
    package var isLasting: Bool

    package init(_ message: String, hint: String, isLasting: Bool = false) {
        self.message = message
        self.hint = hint
        self.isLasting = isLasting
    }

    package var description: String { "\(message) (\(hint))" }
}
