/// `inspect`, the printer of the interactive session: carried out by the Lua host, declared here for the documents.
enum InspectFunction {
    static let inspect = FunctionDeclaration(
        "inspect",
        "Returns a value as the interactive session prints it: tables with their keys in order, cycles named.",
        positional: [
            .required("value", .any, "what to show"),
            .optional("options", .map(.any), "{depth=} how many tables deep", otherwise: "6 deep"),
        ],
        results: [ResultDeclaration("text", .text, "its text")],
        errors: [ErrorDeclaration("size", "the text would be larger than 1 MiB")], effect: .none,
        example: "print(inspect(gold:vms(), { depth = 2 }))", .host)
}
