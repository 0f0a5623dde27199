// The map of the city: which parts there are, what each one needs, and in which order they join the site. Nothing else
// decides who knows whom.
import AccessLog
import Benefits
import Casework
import Catalogue
import Consent
import DataExport
import DataTracker
import Delivery
import Disputes
import Exchange
import Foundation
import Identity
import Ledger
import Logging
import Mandates
import Messages
import OpenID
import Payments
import Payouts
import Postgres
import Questions
import Register
import TransparencyLog
import Web
import Witness

/// The parts of a running city, joined.
struct City {
    let site: Site
    let database: Database
    let doorDatabase: Database
    let sequencer: Sequencer
    /// Nil where the log has no witnesses.
    let witnesses: AskWitnesses?
    let noticeDelivery: NoticeDelivery
    let paymentFiles: PaymentFileService
    let outgoing: OutgoingDelivery
    let identity: IdentityService
    let ledger: Ledger
    /// Of the OpenID provider.
    let signingKeys: SigningKeys
    let logoutDelivery: LogoutDelivery

    /// - Parameters:
    ///   - url: of the database, as the role that serves.
    ///   - keys: those of that database.
    /// - Throws: what is wrong with a setting, a key, a template or a catalogue.
    init(_ configuration: StoaConfiguration, database: Database, url: String, keys: KeyRing, logger: Logger) throws {
        self.database = database
        // Reads of personal data share one connection and one transaction after the other (see Door). Lists have two beside it: while the
        // values of one are opened here, the database decides about the next.
        var doorConfiguration = Database.Configuration(url: url)
        doorConfiguration.sharedConnections = 1
        doorConfiguration.exclusiveConnections = 2
        // Lists that wait for one of the two: three seconds of work, and some 20 MB of questions.
        doorConfiguration.checkoutsWaitingMax = 64
        doorConfiguration.applicationName = "stoa door"
        doorDatabase = try Database(configuration: doorConfiguration, logger: logger)
        let door = Door(database: doorDatabase)
        let log = keys.logSigner.verifier
        sequencer = Sequencer(database: database, signer: keys.logSigner, isWitnessed: !configuration.logWitnesses.isEmpty, logger: logger)
        witnesses = configuration.logWitnesses.isEmpty
            ? nil : AskWitnesses(database: database, verifier: log, witnesses: configuration.logWitnesses, logger: logger)
        noticeDelivery = NoticeDelivery(
            database: database, signer: keys.logSigner, permitsLoopback: configuration.permitsLoopbackWebhooks, logger: logger)
        identity = IdentityService(
            database: database, passwords: try PasswordHasher(cost: configuration.passwords, threadCount: configuration.passwordThreads),
            vault: keys.vault, lookup: keys.lookup,
            settings: IdentitySettings(
                city: configuration.city.name, staffSecondFactor: configuration.staffSecondFactor, recoveryWaitHours: configuration.recoveryWaitHours, baseURL: configuration.baseURL))
        signingKeys = SigningKeys(database: database, vault: keys.vault)
        logoutDelivery = LogoutDelivery(
            database: database, keys: signingKeys, baseURL: configuration.baseURL, permitsLoopback: configuration.permitsLoopbackWebhooks, logger: logger)
        ledger = Ledger(database: database)
        let payoutFiles = PaymentFiles(database: database, vault: keys.vault, folder: configuration.payoutsFolder)
        paymentFiles = PaymentFileService(files: payoutFiles, logger: logger)

        site = try Site(configuration: configuration.web, resolve: Site.resolver(using: database))
        site.readiness = { try await database.one(IsLogHalted()) ? ["log-halted"] : [] }
        site.rememberLanguage = { caller, language in
            guard let session = caller.session else { return }
            try await database.execute("SELECT web.choose_language(\(session.bytes), \(language.tag))")
        }
        let texts = try OutgoingTexts(catalogues: site.catalogues, city: configuration.city.name, baseURL: configuration.baseURL, mustFit: configuration.delivery.shortMessages != nil)
        outgoing = OutgoingDelivery(
            database: database, vault: keys.vault, texts: texts, email: try configuration.emailAdapter(), shortMessages: configuration.shortMessageAdapter(), logger: logger)
        let corrections = Corrections(database: database, vault: keys.vault, lookup: keys.lookup)
        // The order of the navigation.
        let passwordRules = try PasswordRules(rootDirectory: configuration.rootDirectory)
        let openID = OpenIDRoutes(database: database, door: door, vault: keys.vault, keys: signingKeys, baseURL: configuration.baseURL)
        IdentityRoutes(
            identity: identity, passwordRules: passwordRules, database: database, loginHint: { try await openID.loginHint($0, $1, $2) }
        ).add(to: site)
        RegisterRoutes(door: door, vault: keys.vault, corrections: corrections).add(to: site)
        MandateRoutes(database: database, door: door, vault: keys.vault).add(to: site)
        ContactRoutes(addresses: identity.addresses, database: database).add(to: site)
        PaymentsRoutes(database: database, ledger: ledger, zone: configuration.city.timeZone).add(to: site)
        ProviderRoutes(database: database, ledger: ledger, baseURL: configuration.baseURL).add(to: site)
        BankRoutes(database: database).add(to: site)
        DailyCloseRoutes(database: database).add(to: site)
        TillRoutes(database: database).add(to: site)
        WaiverRoutes(database: database).add(to: site)
        let payoutAccounts = PayoutAccounts(database: database, door: door, vault: keys.vault)
        MoneyOutRoutes(database: database, ledger: ledger, accounts: payoutAccounts).add(to: site)
        LedgerRoutes(ledger: ledger).add(to: site)
        BooksRoutes(database: database, zone: configuration.city.timeZone).add(to: site)
        let disputes = Disputes(database: database, door: door, vault: keys.vault)
        DisputesRoutes(disputes: disputes).add(to: site)
        let entries = AccessEntries(database: database, door: door)
        ConsentRoutes(database: database, vault: keys.vault).add(to: site)
        GuardianRoutes(database: database, vault: keys.vault).add(to: site)
        ConsentOrganisationRoutes(database: database, entries: entries).add(to: site)
        ConsentRequestRoutes(database: database).add(to: site)
        let heads = LogHeads(database: database, verifier: log, witnesses: configuration.logWitnesses.map(\.verifier))
        ConsentReceiptRoutes(database: database, signer: keys.logSigner, heads: heads).add(to: site)
        AccessLogRoutes(database: database, entries: entries, heads: heads).add(to: site)
        PublicLogRoutes(database: database, heads: heads).add(to: site)
        WitnessRoutes(database: database, logs: WitnessedLogs(keys: configuration.witnessedLogs), signer: keys.witnessSigner).add(to: site)
        QuestionsRoutes(questions: Questions(database: database, door: door, vault: keys.vault, entries: entries)).add(to: site)
        DataTrackerRoutes(database: database, door: door, lookup: keys.lookup).add(to: site)
        MessagesRoutes(database: database).add(to: site)
        DataExportRoutes(database: database, door: door, signer: keys.logSigner).add(to: site)
        CaseworkRoutes(database: database, door: door, vault: keys.vault, lookup: keys.lookup, corrections: corrections).add(to: site)
        LetterRoutes(database: database, door: door, vault: keys.vault, texts: texts).add(to: site)
        BreakGlassRoutes(glass: BreakGlass(database: database, door: door, vault: keys.vault)).add(to: site)
        DelayRoutes(database: database, lookup: keys.lookup, zone: configuration.city.timeZone).add(to: site)
        AnomalyRoutes(anomalies: Anomalies(database: database, door: door)).add(to: site)
        BenefitsRoutes(database: database, door: door).add(to: site)
        PayoutBatchRoutes(database: database, files: payoutFiles, zone: configuration.city.timeZone).add(to: site)
        DisputeStaffRoutes(disputes: disputes).add(to: site)
        ExchangeRoutes(
            door: door, vault: keys.vault, database: database,
            rules: DerivationRules(timeZone: configuration.city.timeZone, localities: configuration.city.localities), signer: keys.logSigner, baseURL: configuration.baseURL
        ).add(to: site)
        NoticeRoutes(database: database, signer: keys.logSigner).add(to: site)
        CatalogueRoutes(database: database, baseURL: configuration.baseURL, city: configuration.city.name).add(to: site)
        ConnectedServicesRoutes(database: database).add(to: site)
        DeviceRoutes(database: database).add(to: site)
        ServiceAdministrationRoutes(database: database).add(to: site)
        EndSessionRoutes(database: database, keys: signingKeys, baseURL: configuration.baseURL).add(to: site)
        openID.add(to: site)
    }
}

extension Caller {
    /// The session of somebody with an account; nothing for programs.
    fileprivate var session: CredentialHash? {
        switch self {
        case .resident(let resident): resident.credential
        case .helper(let helper): helper.credential
        case .staff(let staff): staff.credential
        case .anonymous, .organisation: nil
        }
    }
}

extension StoaConfiguration {
    /// The way out for e-mails that the settings choose.
    fileprivate func emailAdapter() throws -> any EmailAdapter {
        guard let smtp = delivery.smtp else { return fileAdapter }
        return try SMTPAdapter(settings: smtp, sender: sender, domain: baseURL.host)
    }

    /// The way out for short messages that the settings choose.
    fileprivate func shortMessageAdapter() -> any ShortMessageAdapter { delivery.shortMessages ?? fileAdapter }

    private var fileAdapter: FileAdapter {
        FileAdapter(folder: delivery.folder, sender: sender, domain: baseURL.host) { try writePrivateFile($0, to: $1) }
    }

    private var sender: (name: String, address: EmailAddress) { (city.name, delivery.sender) }

    /// What the web layer needs of the settings.
    var web: WebConfiguration {
        var web = WebConfiguration(baseURL: baseURL, rootDirectory: rootDirectory)
        web.cityName = city.name
        web.timeZone = city.timeZone
        web.host = host
        web.port = port
        web.trustedProxies = trustedProxies
        web.metricsAddress = metricsAddress
        web.defaultLanguage = city.language
        web.neutralSite = neutralSite
        return web
    }
}
