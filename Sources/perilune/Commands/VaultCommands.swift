internal import ArgumentParser
import BlockReplication
import Foundation
import RecoveryEngine
import SiteModel
import VaultStore

/// The vault itself.
struct VaultCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vault", abstract: "Creates a vault, shows what it holds, keeps it, and deletes it.",
        subcommands: [Create.self, Show.self, Ship.self, Promote.self, Rebuild.self, Delete.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Creates an empty vault.")

        @OptionGroup var options: VaultOptions

        func run() async throws {
            try await Failure.reporting {
                let existed = FileManager.default.fileExists(atPath: options.path)
                _ = try SQLiteVault.open(path: options.path, create: true)
                Terminal.say(
                    existed
                        ? "vault \(options.path) exists already; nothing was changed" : "made vault \(options.path)")
            }
        }
    }

    struct Ship: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Names the vault's second place, ships it there now, and shows how old the copy is.",
            discussion: """
                From then on every process that works on the vault ships it, every few seconds: perilune replicate above all.
                """)

        @OptionGroup var options: VaultOptions

        @Option(help: "A file on another site's disk, host:NAME for that host's agent, or none.")
        var to: String?

        func run() async throws {
            try await Failure.reporting {
                let vault = try SQLiteVault.open(path: options.path, create: false)
                let dependencies = VaultOptions.dependencies(vault)
                if let to {
                    let place = try await place(to, in: vault)
                    if let former = try await vault.identity()?.secondPlace, former != place {
                        Terminal.say(
                            "the copy at \(try await VaultPlaceText.name(of: former, in: vault)) stays, and is shipped no more"
                        )
                    }
                    try await vault.changeIdentity(orNew: dependencies.identifiers.next()) { $0.secondPlace = place }
                }
                try await VaultShipper(
                    vault: vault, connections: dependencies.connections, clock: dependencies.clock
                ).ship()
                Terminal.say(
                    try await VaultPlaceText.line(of: vault) ?? "the vault has no second place; name one: --to")
            }
        }

        private func place(_ text: String, in vault: SQLiteVault) async throws -> SecondPlace? {
            if text == "none" { return nil }
            guard text.hasPrefix("host:") else {
                guard text.hasPrefix("/") else {
                    throw ValidationError("--to \(text): give an absolute path, host:NAME or none")
                }
                try VaultShipper.requireOtherFile(text, than: vault)
                return .file(text)
            }
            let name = String(text.dropFirst("host:".count))
            let hosts = try await vault.read { try $0.objects(SiteModel.Host.self).map(\.value) }
            guard let host = hosts.first(where: { $0.name == name }) else {
                throw EngineError(
                    .unknown, "the vault has no host '\(name)'",
                    hint: Listed.hint(
                        "it has", hosts.map(\.name), none: "it has no host yet: a script registers hosts (vault:host)"))
            }
            return .host(host.id)
        }
    }

    struct Promote: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a shipped copy the vault: agents refuse every other copy from then on.")

        @Argument(help: "The copy's file: the second place, or STORE/vault/ID.db at a host.")
        var path: String

        func run() async throws {
            try await Failure.reporting {
                // Before it is opened: a copy in a host's store must not be replaced by a newer one meanwhile.
                let kept = try KeptCopy.take(path)
                let vault = try SQLiteVault.open(path: path, create: false)
                let outcome = try await VaultPromotion(
                    VaultOptions.dependencies(vault), place: VaultOptions.place(of: path)
                ).promote(kept)
                if let at = outcome.already {
                    Terminal.say(
                        "\(path) was promoted already, at \(at.utcText): it is the vault, epoch \(outcome.epoch), "
                            + "and stays as it is")
                } else {
                    Terminal.say("\(path) is the vault now, epoch \(outcome.epoch)")
                }
                if !outcome.told.isEmpty { Terminal.say("  told: \(outcome.told.joined(separator: ", "))") }
                if !outcome.silent.isEmpty {
                    Terminal.say(
                        "  did not answer: \(outcome.silent.joined(separator: ", ")); told when they do (perilune replicate)"
                    )
                }
                if outcome.openJobs > 0 {
                    Terminal.say("  \(outcome.openJobs) open jobs were left; perilune replicate takes them up")
                }
                Terminal.say(
                    "next: export PERILUNE_VAULT=\(URL(filePath: path).path()); perilune replicate (takes over what "
                        + "hosts did meanwhile); perilune vault ship --to PLACE; perilune status")
            }
        }
    }

    struct Rebuild: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a vault anew from the manifests beside the points, and says what could not be known.")

        @OptionGroup var options: VaultOptions

        @Option(name: .customLong("from"), parsing: .upToNextOption, help: "Stores, as they can be read from here.")
        var stores: [String]

        func run() async throws {
            try await Failure.reporting {
                let (finds, troubles) = try VaultRebuild.read(stores: stores)
                guard !finds.isEmpty else {
                    throw EngineError(
                        .unknown, "no manifest was found: \(troubles.joined(separator: "; "))",
                        hint: "name the folders that agents were given as --store")
                }
                let vault = try SQLiteVault.open(path: options.path, create: true)
                let rebuild = VaultRebuild(
                    clock: SystemClock(), identifiers: RandomIdentifiers(), place: VaultOptions.place(of: options.path))
                var report = try await rebuild.rebuild(
                    from: finds, standings: stores.flatMap(VaultStanding.known(inStore:)), into: vault)
                report.unknown = troubles + report.unknown
                Terminal.say(
                    "\(options.path): \(report.restored.count == 1 ? "1 VM" : "\(report.restored.count) VMs") (\(report.restored.joined(separator: ", "))), "
                        + "\(report.points) points, hosts \(report.hosts.joined(separator: ", "))")
                Terminal.say("not known:")
                for line in report.unknown { Terminal.say("  \(line)") }
                Terminal.say(
                    "next: export PERILUNE_VAULT=\(URL(filePath: options.path).path()); perilune status, which looks only; then "
                        + "perilune replicate: hosts obey this vault from then on, and no other copy of it")
            }
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Deletes a vault that is empty, with its history and its copy at the second place.",
            discussion: """
                A vault with a server, a host or a replicated VM is not deleted: unprotect the VMs, unregister the servers \
                and remove the hosts first. No other process may have it open.
                """)

        @OptionGroup var options: VaultOptions

        func run() async throws {
            try await Failure.reporting {
                let vault = try SQLiteVault.open(path: options.path, create: false)
                let outcome = try await VaultDeletion(vault).delete()
                Terminal.say("deleted the vault \(options.path)")
                if let copy = outcome.copy { Terminal.say("  and its copy \(copy)") }
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows hosts, servers, clouds, policies, pairs, mappings, items, points and the newest events.")

        @OptionGroup var options: VaultOptions

        @Option(help: "How many events to show.")
        var events = 20

        func run() async throws {
            try await Failure.reporting {
                let contents = try await VaultContents.read(
                    from: SQLiteVault.open(path: options.path, create: false), events: events)
                Terminal.say(options.json ? try contents.json() : contents.text())
            }
        }
    }
}

/// Everything that `vault show` prints, read in one go.
struct VaultContents: Encodable {
    var hosts: [SiteModel.Host]
    var servers: [Server]
    var clouds: [Cloud]
    var policies: [Policy]
    var pairs: [CloudPair]
    var mappings: [NetworkMapping]
    var items: [ProtectedItem]
    var relationships: [Relationship]
    var points: [RecoveryPoint]
    var openJobs: [Job]
    var runs: [Run]
    var events: [Event]

    static func read(from vault: any Vault, events: Int) async throws -> VaultContents {
        try await vault.read { vault in
            VaultContents(
                hosts: try vault.objects(SiteModel.Host.self).map(\.value),
                servers: try vault.objects(Server.self).map(\.value),
                clouds: try vault.objects(Cloud.self).map(\.value),
                policies: try vault.objects(Policy.self).map(\.value),
                pairs: try vault.objects(CloudPair.self).map(\.value),
                mappings: try vault.objects(NetworkMapping.self).map(\.value),
                items: try vault.objects(ProtectedItem.self).map(\.value),
                relationships: try vault.objects(Relationship.self).map(\.value),
                points: try vault.objects(RecoveryPoint.self).map(\.value),
                openJobs: try vault.openJobs().map(\.value), runs: try vault.objects(Run.self).map(\.value),
                events: try vault.events(about: nil, limit: events))
        }
    }

    func json() throws -> String {
        try JSON.text(self)
    }

    func text() -> String {
        func host(_ id: String) -> String { hosts.first { $0.id == id }?.name ?? id }
        func cloud(_ id: String) -> String { clouds.first { $0.id == id }?.name ?? id }
        func policy(_ id: String) -> String { policies.first { $0.id == id }?.name ?? id }
        let sections: [(String, [[String]])] = [
            ("hosts", hosts.map { [$0.name, "site \($0.site)", $0.uri] }),
            ("servers", servers.map { [$0.name, $0.managementVM.map { "runs in VM \($0)" } ?? ""] }),
            ("clouds", clouds.map { [$0.name, $0.hosts.map(host).joined(separator: ", ")] }),
            (
                "policies",
                policies.map {
                    ["\($0.name)", "every \($0.copyFrequencySeconds) s", "\($0.recoveryPoints) extra points"]
                }
            ),
            ("pairs", pairs.map { [$0.name, "policy \(policy($0.policy))"] }),
            (
                "network mappings",
                mappings.map {
                    ["\(cloud($0.sourceCloud)) \($0.name)", "-> \(cloud($0.targetCloud)) \($0.targetNetwork)"]
                }
            ),
            (
                "relationships",
                relationships.map { relationship in
                    [
                        relationship.name, relationship.state.rawValue,
                        "\(host(relationship.source)) -> \(host(relationship.target))",
                        "owner \(host(relationship.owner)), epoch \(relationship.epoch)",
                        relationship.item == nil ? "by the hosts" : "protected item",
                        "points \(points.filter { $0.relationship == relationship.id }.map(\.name).joined(separator: " "))",
                    ]
                }
            ),
            (
                "open jobs",
                openJobs.map { [$0.operation.rawValue, $0.stages.first { $0.state != .done }?.name ?? "", $0.id] }
            ),
            ("events", events.map { [Self.clock($0.at), $0.severity.rawValue, $0.text] }),
        ]
        return sections.map { title, rows in
            "\(title)\n"
                + (rows.isEmpty ? "  none" : Text.table(rows.map { ["  " + ($0.first ?? "")] + $0.dropFirst() }))
        }.joined(separator: "\n\n")
    }

    private static func clock(_ time: Timestamp) -> String {
        Date(timeIntervalSince1970: Double(time.milliseconds) / 1000).formatted(.iso8601)
    }
}

/// Where the vault's second place is, and how far behind.
enum VaultPlaceText {
    /// A line for `status`; nil when no second place is named.
    static func line(of vault: SQLiteVault) async throws -> String? {
        guard let identity = try await vault.identity() else { return nil }
        if let epoch = identity.supersededBy {
            let place = identity.supersededAs.map { ", \($0.words)" } ?? ""
            return "ALERT: this vault was superseded by a promoted copy (epoch \(epoch)\(place)); it is written no more"
        }
        guard let place = identity.secondPlace else { return nil }
        let name = try await name(of: place, in: vault)
        guard let age = VaultAge.seconds(ofVault: vault.path) else {
            return "WARNING: the vault was never shipped to \(name)"
        }
        let warning = age > VaultAge.limit ? "WARNING: " : ""
        let hint = age > VaultAge.limit ? "; perilune replicate ships it while it runs" : ""
        return "\(warning)the vault's copy at \(name) is \(Text.age(age)) old\(hint)"
    }

    /// A second place as people say it.
    static func name(of place: SecondPlace, in vault: SQLiteVault) async throws -> String {
        switch place {
        case .file(let path): return path
        case .host(let id):
            let host = try await vault.read { try $0.object(SiteModel.Host.self, id: id)?.value }
            guard let host, let vault = try await vault.identity()?.id else { return "host \(id)" }
            return "host \(host.name) (\(host.store)/vault/\(vault).db)"
        }
    }
}
