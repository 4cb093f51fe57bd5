package import RecoveryScripting

/// What is explored: a script, and the sites that it is run on.
package struct Scenario: Sendable {
    package struct Script: Sendable, Hashable {
        package var name: String
        package var text: String

        package init(name: String, text: String) {
            self.name = name
            self.text = text
        }
    }

    /// The sites, as `SiteFile` reads them.
    package var site: String
    package var seed: UInt64
    /// Run first, undisturbed: what the script takes for given.
    package var setUp: Script?
    package var script: Script
    package var arguments: [String]
    /// Where modules are found, and what is granted; `exec` and `http` never are.
    package var options: ScriptOptions

    package init(
        site: String, seed: UInt64 = 1, setUp: Script? = nil, script: Script, arguments: [String] = [],
        options: ScriptOptions
    ) {
        self.site = site
        self.seed = seed
        self.setUp = setUp
        self.script = script
        self.arguments = arguments
        self.options = options
        self.options.grants.subtract([.exec, .http])
        self.options.keepsJournal = true
    }
}
