/// Makes a plan of plain data, or says exactly which field is wrong and what it may be.
package struct PlanReader {
    /// The plan's fields, with servers by name: ids are found by whoever has the vault.
    package struct Draft: Hashable, Sendable {
        package var name: String
        package var source: String
        package var target: String
        package var groups: [PlanGroup]
        package var dependsOn: [String]

        package init(name: String, source: String, target: String, groups: [PlanGroup], dependsOn: [String] = []) {
            self.name = name
            self.source = source
            self.target = target
            self.groups = groups
            self.dependsOn = dependsOn
        }
    }

    /// The word and number that an exported plan begins with.
    package static let format = "perilune-plan/1"

    /// Id of the run whose inline functions the data may hold; nil where it may hold none.
    private let run: String?

    package init(run: String? = nil) {
        self.run = run
    }

    package func plan(_ value: PlanValue) throws(PlanProblem) -> Draft {
        let table = try fields(
            value, at: "", known: ["depends_on", "format", "groups", "name", "source", "target"])
        if let format = table["format"], format != .text(Self.format) {
            throw PlanProblem("format", "must be \"\(Self.format)\", got \(format.shown)")
        }
        let source = try text(table, "source", at: "")
        let list = try self.list(table["groups"] ?? .null, at: "groups")
        guard (1...PlanLimits.groups).contains(list.count) else {
            throw PlanProblem("groups", "must hold 1 to \(PlanLimits.groups) groups, got \(list.count)")
        }
        var groups: [PlanGroup] = []
        for (index, item) in list.enumerated() { groups.append(try group(item, number: index + 1)) }
        return Draft(
            name: try Self.checkedName(try text(table, "name", at: ""), at: "name"), source: source,
            target: table["target"] == nil ? source : try text(table, "target", at: ""), groups: groups,
            dependsOn: try table["depends_on"].map { value throws(PlanProblem) in try texts(value, at: "depends_on") }
                ?? [])
    }

    // MARK: Groups

    private func group(_ value: PlanValue, number: Int) throws(PlanProblem) -> PlanGroup {
        let path = "groups[\(number)]"
        let table = try fields(
            value, at: path, known: ["after", "before", "depends_on", "kind", "name", "vms"])
        let kind = try choice(table["kind"], GroupKind.self, at: "\(path).kind") ?? .boot
        var group = PlanGroup(name: kind == .boot ? "group \(number)" : kind.rawValue, kind: kind)
        if table["name"] != nil { group.name = try text(table, "name", at: path) }
        group.name = try Self.checkedName(group.name, at: "\(path).name")
        if let vms = table["vms"] { group.vms = try texts(vms, at: "\(path).vms") }
        if let needed = table["depends_on"] { group.dependsOn = try texts(needed, at: "\(path).depends_on") }
        group.before = try actions(table["before"], at: "\(path).before")
        group.after = try actions(table["after"], at: "\(path).after")
        guard kind != .boot else { return group }
        if !group.vms.isEmpty {
            throw PlanProblem(
                "\(path).vms",
                "must be left out of a \(kind.rawValue) group: that step is taken with all VMs of the plan",
                hint: "put the VMs into boot groups; actions around the step stay here")
        }
        if group.dependsOn != nil {
            throw PlanProblem(
                "\(path).depends_on", "must be left out of a \(kind.rawValue) group: its place in the run is fixed")
        }
        return group
    }

    // MARK: Actions

    private func actions(_ value: PlanValue?, at path: String) throws(PlanProblem) -> [PlanAction] {
        guard let value else { return [] }
        let list = try self.list(value, at: path)
        guard list.count <= PlanLimits.actions else {
            throw PlanProblem(path, "must hold at most \(PlanLimits.actions) actions, got \(list.count)")
        }
        var actions: [PlanAction] = []
        for (index, item) in list.enumerated() { actions.append(try action(item, at: "\(path)[\(index + 1)]")) }
        return actions
    }

    private static let works = ["call", "check", "command", "inline", "manual", "wait"]

    private func action(_ value: PlanValue, at path: String) throws(PlanProblem) -> PlanAction {
        let table = try fields(
            value, at: path,
            known: Self.works + ["critical", "directions", "guest", "host", "name", "on", "retries", "timeout"])
        let named = Self.works.filter { table[$0] != nil }
        guard let word = named.first, named.count == 1 else {
            let count = named.isEmpty ? "says nothing to do" : "says \(named.joined(separator: " and "))"
            throw PlanProblem(
                path,
                "\(count); an action has exactly one of \(Self.works.filter { $0 != "inline" }.joined(separator: ", "))",
                hint: "as { manual = \"...\" }, { wait = \"30s\" } or { command = { \"/bin/true\" } }")
        }
        let work = try self.work(word, table, at: path)
        for place in ["guest", "host"] where word != "command" && table[place] != nil {
            throw PlanProblem("\(path).\(place)", "has no meaning beside '\(word)': it says where a command runs")
        }
        var action = PlanAction(name: work.word, work: work)
        if table["name"] != nil {
            action.name = try Self.checkedName(try text(table, "name", at: path), at: path + ".name")
        }
        if let value = table["on"] { action.operations = try choices(value, PlanOperation.self, at: "\(path).on") }
        if let value = table["directions"] {
            action.directions = try choices(value, PlanDirection.self, at: "\(path).directions")
        }
        if let value = table["timeout"] {
            action.timeout = try duration(value, at: "\(path).timeout", range: PlanLimits.timeout)
        }
        if let value = table["retries"] {
            action.retries = try integer(value, at: "\(path).retries", range: PlanLimits.retries)
        }
        if let value = table["critical"] {
            guard case .boolean(let critical) = value else {
                throw PlanProblem("\(path).critical", "must be true or false, got \(value.shown)")
            }
            action.isCritical = critical
        }
        return action
    }

    private func work(
        _ word: String, _ table: [String: PlanValue], at path: String
    ) throws(PlanProblem) -> PlanWork {
        let (value, place) = (table[word] ?? .null, "\(path).\(word)")
        switch word {
        case "call":
            let parts = try Self.words(try text(table, word, at: path), at: place)
            return .function(module: parts.module, function: parts.function)
        case "inline":
            guard let run, case .number(let number) = value, let number = UInt64(exactly: number) else {
                throw PlanProblem(
                    place, "a function has no place in a file",
                    hint: "put it into a module and name it: call = \"module.function\"")
            }
            return .inline(run: run, number: number)
        case "command": return try command(table, at: path)
        case "manual": return .manual(instructions: try text(table, word, at: path))
        case "wait": return .wait(seconds: try duration(value, at: place, range: 0...PlanLimits.timeout.upperBound))
        default: return try check(value, at: place)
        }
    }

    private func command(_ table: [String: PlanValue], at path: String) throws(PlanProblem) -> PlanWork {
        let argv = try texts(table["command"] ?? .null, at: "\(path).command")
        guard let program = argv.first, program.hasPrefix("/"), argv.count <= PlanLimits.words else {
            throw PlanProblem(
                "\(path).command",
                "must be a list of 1 to \(PlanLimits.words) words of which the first is a program's full path",
                hint:
                    "no shell reads it: give each argument as a word of its own, as { \"/usr/bin/systemctl\", \"restart\", \"bind9\" }"
            )
        }
        switch (table["host"], table["guest"]) {
        case (nil, nil): return .command(host: nil, argv: argv)
        case (.some, nil): return .command(host: try text(table, "host", at: path), argv: argv)
        case (nil, .some): return .guestCommand(vm: try text(table, "guest", at: path), argv: argv)
        default:
            throw PlanProblem(
                path, "a command runs at one place, and both 'host' and 'guest' are given",
                hint: "take guest, the name of a VM with a QEMU guest agent, and leave host out")
        }
    }

    private func check(_ value: PlanValue, at path: String) throws(PlanProblem) -> PlanWork {
        let table = try fields(value, at: path, known: ["host", "path", "port", "vm"])
        let host = try text(table, "host", at: path)
        let page = table["path"] == nil ? "/" : try text(table, "path", at: path)
        let plain = { (text: String) in text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f } }
        guard plain(host), host.utf8.count <= 253, !host.contains("/") else {
            throw PlanProblem("\(path).host", "must be an address or host name, got \(PlanValue.text(host).shown)")
        }
        guard page.hasPrefix("/"), plain(page), page.utf8.count <= 2048 else {
            throw PlanProblem(
                "\(path).path", "must begin with '/' and hold neither blanks nor control characters")
        }
        let port = try table["port"].map { value throws(PlanProblem) in
            try integer(value, at: "\(path).port", range: 1...65_535)
        }
        return .check(vm: try text(table, "vm", at: path), host: host, port: port ?? 80, path: page)
    }

    /// "module.function"; a module's own name may hold points.
    private static func words(
        _ text: String, at place: String
    ) throws(PlanProblem) -> (module: String, function: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        let plain = parts.allSatisfy { part in
            !part.isEmpty
                && part.utf8.allSatisfy {
                    ($0 >= 0x30 && $0 <= 0x39) || ($0 | 32 >= 0x61 && $0 | 32 <= 0x7a) || $0 == 0x5f
                }
        }
        guard parts.count >= 2, plain, text.utf8.count <= 200, let function = parts.last else {
            throw PlanProblem(place, "must be \"module.function\", got \(PlanValue.text(text).shown)")
        }
        return (parts.dropLast().joined(separator: "."), String(function))
    }

    // MARK: Plain values

    private func fields(
        _ value: PlanValue, at path: String, known: [String]
    ) throws(PlanProblem) -> [String: PlanValue] {
        guard case .table(let table) = value else {
            throw PlanProblem(path, "must be a table with names, got \(value.shown)")
        }
        for name in table.keys.sorted() where !known.contains(name) {
            throw PlanProblem(
                path, "has no field '\(name)'",
                hint: Nearest.suggestion(for: name, among: known).map { "did you mean '\($0)'?" }
                    ?? "it takes: \(known.filter { $0 != "format" && $0 != "inline" }.joined(separator: ", "))")
        }
        return table.filter { $0.value != .null }
    }

    private func list(_ value: PlanValue, at path: String) throws(PlanProblem) -> [PlanValue] {
        if case .list(let list) = value { return list }
        // A table without fields is an empty list as well as an empty table.
        if case .table(let table) = value, table.isEmpty { return [] }
        throw PlanProblem(path, "must be a list, got \(value.shown)")
    }

    private func text(
        _ table: [String: PlanValue], _ name: String, at path: String
    ) throws(PlanProblem) -> String {
        let place = path.isEmpty ? name : "\(path).\(name)"
        guard case .text(let text)? = table[name] else {
            throw PlanProblem(place, "must be text, got \((table[name] ?? .null).shown)")
        }
        return try Self.bounded(text, at: place)
    }

    private static func bounded(_ text: String, at place: String) throws(PlanProblem) -> String {
        guard !text.isEmpty, text.utf8.count <= PlanLimits.textBytes, !text.unicodeScalars.contains("\0") else {
            throw PlanProblem(place, "must be 1 to \(PlanLimits.textBytes) bytes of text without zero bytes")
        }
        return text
    }

    private func texts(_ value: PlanValue, at path: String) throws(PlanProblem) -> [String] {
        var texts: [String] = []
        for (index, item) in try list(value, at: path).enumerated() {
            guard case .text(let text) = item else {
                throw PlanProblem("\(path)[\(index + 1)]", "must be text, got \(item.shown)")
            }
            texts.append(try Self.bounded(text, at: "\(path)[\(index + 1)]"))
        }
        return texts
    }

    private func choice<Word: RawRepresentable<String> & CaseIterable>(
        _ value: PlanValue?, _ type: Word.Type, at path: String
    ) throws(PlanProblem) -> Word? {
        guard let value else { return nil }
        let words = Word.allCases.map(\.rawValue)
        guard case .text(let text) = value,
            let word = Word(rawValue: String(text.map { $0 == "_" ? "-" : $0 }))
        else {
            var hint: String?
            if case .text(let text) = value {
                hint = Nearest.suggestion(for: text, among: words).map { "did you mean \"\($0)\"?" }
            }
            throw PlanProblem(
                path, "must be \(words.map { "\"\($0)\"" }.joined(separator: " or ")), got \(value.shown)", hint: hint)
        }
        return word
    }

    /// Words in the order in which the type has them, each once.
    private func choices<Word: RawRepresentable<String> & CaseIterable & Equatable>(
        _ value: PlanValue, _ type: Word.Type, at path: String
    ) throws(PlanProblem) -> [Word] {
        var chosen: [Word] = []
        for (index, item) in try list(value, at: path).enumerated() {
            if let word = try choice(item, type, at: "\(path)[\(index + 1)]") { chosen.append(word) }
        }
        guard !chosen.isEmpty else { throw PlanProblem(path, "must name at least one, got none") }
        return Word.allCases.filter { chosen.contains($0) }
    }

    private func integer(_ value: PlanValue, at path: String, range: ClosedRange<Int>) throws(PlanProblem) -> Int {
        guard case .number(let number) = value, let whole = Int(exactly: number), range.contains(whole) else {
            throw PlanProblem(
                path, "must be an integer from \(range.lowerBound) to \(range.upperBound), got \(value.shown)")
        }
        return whole
    }

    private func duration(
        _ value: PlanValue, at path: String, range: ClosedRange<Double>
    ) throws(PlanProblem) -> Double {
        let seconds: Double? =
            switch value {
            case .number(let number): number
            case .text(let text): Self.seconds(text)
            default: nil
            }
        guard let seconds, range.contains(seconds) else {
            let (low, high) = (PlanValue.shown(range.lowerBound), PlanValue.shown(range.upperBound))
            throw PlanProblem(
                path,
                "must be a duration such as \"30s\", \"5min\" or \"2h\", or seconds from \(low) to \(high), got \(value.shown)"
            )
        }
        return seconds
    }

    private static let units: [(word: String, seconds: Double)] = [
        ("ms", 0.001), ("s", 1), ("min", 60), ("h", 3600), ("d", 86_400),
    ]

    static func seconds(_ text: String) -> Double? {
        guard text.utf8.count <= 32 else { return nil }
        let digits = text.prefix { ("0"..."9").contains($0) || $0 == "." }
        let unit = text.dropFirst(digits.count)
        guard let number = Double(digits), let factor = units.first(where: { $0.word == unit })?.seconds else {
            return nil
        }
        return number * factor
    }

    /// Names are parts of paths ("plan/group"), so they hold no '/'.
    private static func checkedName(_ name: String, at path: String) throws(PlanProblem) -> String {
        let plain = name.unicodeScalars.allSatisfy { $0 != "/" && $0.properties.generalCategory != .control }
        guard plain, !name.isEmpty, name.count <= 128 else {
            throw PlanProblem(path, "must be 1 to 128 characters, no '/' and no control characters")
        }
        return name
    }
}
