/// What a text argument names, so that completion can offer the names that the vault holds.
package enum VaultName: String, Sendable, CaseIterable {
    case host, server, policy, cloud
    /// A VM; offered are those that are replicated.
    case vm
    /// A topic of `help`.
    case topic
}
