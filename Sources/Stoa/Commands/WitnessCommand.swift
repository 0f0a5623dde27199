// `stoa witness vkey`: the public half of the key with which this city signs the heads of others' logs, for those to hold.
import ArgumentParser
import TransparencyLog

/// `stoa witness …`
struct WitnessCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "witness", abstract: "About this city as a witness of others' logs.", subcommands: [WitnessVerifierKeyCommand.self])
}

/// `stoa witness vkey`
struct WitnessVerifierKeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vkey", abstract: "Prints the witness's verifier key (C2SP tlog-cosignature), which checks what this city signs for others.",
        discussion: "Give it to the logs that witness.logs names, for their settings, and publish it for their readers.")

    @OptionGroup var common: CommonOptions

    func run() async throws {
        let configuration = try await common.load()
        print(try KeyRing.witnessVerifier(configuration, keysDirectory: configuration.dataDirectory + "/keys").vkey)
    }
}
