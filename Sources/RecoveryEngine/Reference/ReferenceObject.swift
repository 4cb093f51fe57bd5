/// One kind of object of the original, and where its parts are here.
package struct ReferenceObject: Sendable {
    /// Section of the collected facts ("1.4").
    package let section: String
    package let name: String
    /// What it is here, one sentence or two.
    package let here: String
    package let parts: [ReferencePart]

    init(_ section: String, _ name: String, here: String, _ parts: [ReferencePart]) {
        self.section = section
        self.name = name
        self.here = here
        self.parts = parts
    }
}

/// A field of an object of the original, or something that holds for it.
package struct ReferencePart: Sendable {
    /// In words of our own.
    package let original: String
    /// Where scripts find it: "policy.port", "vault:policy", "vault:policy{port}".
    package let lua: [String]
    /// Where the vault keeps it: "Policy.port", members of types of the model.
    package let model: [String]
    /// Default and limits; or why it is left out, where neither `lua` nor `model` names a place.
    package let here: String

    init(_ original: String, lua: [String] = [], model: [String] = [], _ here: String) {
        self.original = original
        self.lua = lua
        self.model = model
        self.here = here
    }

    /// Whether it has no place here at all.
    package var isLeftOut: Bool { lua.isEmpty && model.isEmpty }
}

/// All objects, and the part of docs/from-site-recovery.md that is made of them.
package enum ReferenceObjects {
    package static let all: [ReferenceObject] =
        controlPlane + hosts + networking + replication + recoveryPlans + history

    /// The generated part of the page, its border lines included.
    package static func markdown() -> String {
        let sections = all.map { object in
            let rows = object.parts.map { part in
                "| \(part.original) | \(names(part.lua)) | \(names(part.model)) | \(part.here) |"
            }
            return """
                ### \(object.name)

                \(object.here)

                | the original's | in scripts | in the vault | here |
                | --- | --- | --- | --- |
                \(rows.joined(separator: "\n"))

                """
        }
        return """
            \(ReferencePage.begin("objects"))

            What scripts see is in [lua-api.md](lua-api.md): `type.field`, `type:method`, `type:method{option}`. What the vault
            keeps are the types and members of `Sources/SiteModel`. Where both columns are empty, the last one says why.

            \(sections.joined(separator: "\n"))
            \(ReferencePage.end("objects"))
            """
    }

    private static func names(_ names: [String]) -> String { names.map { "`\($0)`" }.joined(separator: ", ") }
}

/// The lines between which generated parts stand in docs/from-site-recovery.md.
package enum ReferencePage {
    package static func begin(_ part: String) -> String {
        "<!-- \(part): generated from Sources/RecoveryEngine/Reference; a test keeps it equal -->"
    }

    package static func end(_ part: String) -> String { "<!-- end of \(part) -->" }
}
