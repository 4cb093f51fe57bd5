import LuaHost
import RecoveryEngine
import SiteModel

/// Methods and fields about a first copy that is not made at once, and the options that ask for one.
enum FirstCopyMethods {
    /// What may be said of one VM when its protection begins.
    static let options: [Parameter] = [
        .optional("disks", .list(.text), "the disks to replicate, such as {\"vda\"}", otherwise: "all"),
        .optional(
            "exclude", .list(.text),
            "disks to leave out instead: they do not exist at the target in any form, and are attached again at home",
            otherwise: "none"),
        .optional(
            "first_copy", .choice(Policy.FirstCopy.allCases.map(\.rawValue)), "how it is made",
            otherwise: "the policy's"),
        .optional(
            "start_after", .duration, "when a scheduled one begins, at most 7 days from now: \"168h\"",
            otherwise: "the policy's time of day"),
        .optional(
            "export_path", .text, "folder at the source that an offline one is written to", otherwise: "the policy's"),
        .optional("import_path", .text, "folder at the target that it is read from", otherwise: "the policy's"),
    ]

    /// Lua that makes an object of that type whose first copy is outstanding, under the name that examples call it by.
    static func pending(_ type: String, _ options: String) -> String {
        switch type {
        case "relationship":
            "local relationship = vault:host(\"a1\"):vm(\"vmm01\"):replicate { to = vault:host(\"b1\"), policy = fast, \(options) }"
        case "vm": "local vm = gold:vm(\"orders\")\nvm:protect { \(options) }"
        default: "local item = gold:vm(\"orders\"):protect { \(options) }"
        }
    }

    static func options(of call: Call) -> ProtectOptions {
        let arguments = call.arguments
        return ProtectOptions(
            disks: arguments.texts("disks"), exclude: arguments.texts("exclude"),
            firstCopy: arguments.optionalText("first_copy").flatMap(Policy.FirstCopy.init(rawValue:)),
            startAfter: arguments.optionalNumber("start_after"), exportPath: arguments.optionalText("export_path"),
            importPath: arguments.optionalText("import_path"))
    }

    static let record = RecordDeclaration(
        "first_copy", "A first copy that is outstanding.",
        fields: [
            ResultDeclaration("method", .choice(Policy.FirstCopy.allCases.map(\.rawValue)), "how it is made"),
            ResultDeclaration("starts", .number, "when a scheduled one begins", unit: .epochSeconds, optional: true),
            ResultDeclaration("folder", .text, "the folder at the source to carry to the target", optional: true),
            ResultDeclaration("import_path", .text, "where it is expected at the target", optional: true),
            ResultDeclaration("bytes", .integer, "size of the exported disks", unit: .bytes, optional: true),
        ])

    static let disk = RecordDeclaration(
        "disk", "A disk of a replicated VM.",
        fields: [
            ResultDeclaration("name", .text, "its name in the VM, such as vda"),
            ResultDeclaration("size", .integer, "its size", unit: .bytes),
        ])

    static func value(_ plan: FirstCopyRecord) -> LuaValue {
        var table = LuaTable()
        table["method"] = LuaValue(plan.method.rawValue)
        table["starts"] = plan.startAt.map(Records.seconds) ?? .nil
        table["folder"] = LuaValue(plan.exported?.folder)
        table["import_path"] = LuaValue(plan.importPath)
        table["bytes"] = plan.exported.map { .integer(Int64(clamping: $0.bytes)) } ?? .nil
        return .table(table)
    }
}
