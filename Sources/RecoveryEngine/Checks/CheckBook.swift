/// Every check that this version makes.
package enum CheckBook {
    package static let all: [CheckDefinition] =
        VaultChecks.all.map(\.definition) + ServerChecks.all.map(\.definition) + PairChecks.all.map(\.definition)
        + HostChecks.all.map(\.definition) + VMChecks.all.map(\.definition) + EndpointChecks.all.map(\.definition)

    package static func check(_ id: String) -> CheckDefinition? { all.first { $0.id == id } }
}
