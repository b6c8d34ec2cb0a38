//! Payments of VakıfBank's bulk-payment system.

use std::borrow::Cow;

use crate::domain::{
    fields::record,
    meta::EventMeta,
    money::Money,
    time::{Day, Timestamp},
    vocabulary::TosType,
};

record! {
    /// A payment of VakıfBank's bulk-payment system.
    TosPayment = "TosPayment" with meta {
        /// The bank's id of the payment, digits as sent. Source: TransactionObjectId.
        transaction_object_id: Option<Cow<'a, str>>,
        /// Code of the institution, leading zeros kept. Source: InstitutionCode.
        institution_code: Option<Cow<'a, str>>,
        /// Number of the package. Source: InstitutionPackageNo.
        package_no: Option<Cow<'a, str>>,
        /// The institution's own id of the payment. Source: InstitutionTransactionCode or
        /// InstitutionTransactionNo.
        institution_transaction_code: Option<Cow<'a, str>>,
        /// Number by which the payment can be asked for. Source: TransactionQueryNo.
        query_no: Option<Cow<'a, str>>,
        /// Kind of the payment. Source: TransactionType.
        r#type: TosType,
        /// The source's own number of the kind. Source: TransactionType.
        type_raw: Option<i32>,
        /// Amount in units of currency. Source: Amount.
        amount: Money,
        /// Currency code, upper case, TL as TRY. Source: CurrencyType.
        currency: Cow<'a, str>,
        /// Whether the payment was made; the only proof of success. Source: Result.
        succeeded: Option<bool>,
        /// The bank's result code; 1 stands beside success. Source: ErrorCode.
        error_code: Option<i32>,
        /// The bank's result text. Source: ErrorExplanation.
        error_text: Option<Cow<'a, str>>,
        /// Day on which the payment is due. Source: PaymentDate.
        payment_date: Option<Day>,
        /// When the money was transferred, UTC; read as Europe/Istanbul. Source: TransferDate.
        transferred_at: Option<Timestamp>,
        /// The source's own text of that time. Source: TransferDate.
        transferred_at_local: Option<Cow<'a, str>>,
        /// When the money came back, UTC; read as Europe/Istanbul. Source: ReturnDate.
        returned_at: Option<Timestamp>,
        /// The source's own text of that time. Source: ReturnDate.
        returned_at_local: Option<Cow<'a, str>>,
        /// When the returning payment was made, UTC; read as Europe/Istanbul. Source:
        /// ComingReturnPaymentDate.
        return_payment_at: Option<Timestamp>,
        /// The source's own text of that time. Source: ComingReturnPaymentDate.
        return_payment_at_local: Option<Cow<'a, str>>,
        /// Account that pays. Source: SenderAccountNo.
        sender_account_no: Option<Cow<'a, str>>,
        /// Branch of the account that pays. Source: SenderBranchCode.
        sender_branch_code: Option<Cow<'a, str>>,
        /// IBAN or account of the receiver; null where it is a card. Source:
        /// ReceivertAccountIbanNo.
        receiver_iban_or_account: Option<Cow<'a, str>>,
        /// Card of the receiver, at most the first 6 and the last 4 digits. Source:
        /// ReceivertAccountIbanNo where TransactionType is 3 or the number is a card's.
        card_masked: Option<Cow<'a, str>>,
        /// Bank of the receiver, leading zeros kept. Source: ReceiverBankCode.
        receiver_bank_code: Option<Cow<'a, str>>,
        /// Branch of the receiver, leading zeros kept. Source: ReceiverBranchCode.
        receiver_branch_code: Option<Cow<'a, str>>,
        /// Name of the receiver's bank. Source: ReceiverBankName.
        receiver_bank_name: Option<Cow<'a, str>>,
        /// Name of the receiver. Source: ReceiverNameSurname.
        receiver_name_surname: Option<Cow<'a, str>>,
        /// Address of the receiver. Source: ReceiverAddress.
        receiver_address: Option<Cow<'a, str>>,
        /// Telephone of the receiver. Source: ReceiverTelephone.
        receiver_telephone: Option<Cow<'a, str>>,
        /// E-mail address of the receiver. Source: ReceiverEmail.
        receiver_email: Option<Cow<'a, str>>,
        /// Name of the receiver's father; dropped unless the privacy configuration clears it.
        /// Source: ReceiverFatherName.
        receiver_father_name: Option<Cow<'a, str>>,
        /// National identity number of the receiver. Source: ReceiverIdentityNo.
        receiver_national_id: Option<Cow<'a, str>>,
        /// Tax number of the receiver. Source: ReceiverTaxNo.
        receiver_tax_no: Option<Cow<'a, str>>,
        /// Tax office of the receiver. Source: ReceiverAdministrationTax.
        receiver_tax_office: Option<Cow<'a, str>>,
        /// Whether the bank checks the identity or tax number. Source: TaxIdentityCheck.
        tax_identity_check: Option<bool>,
        /// Whether credit may be used. Source: CreditUse.
        credit_use: Option<bool>,
        /// Query number of the returning payment. Source: ComingReturnTransactionQueryNo.
        return_query_no: Option<Cow<'a, str>>,
        /// The bank's id of the returning payment. Source: ReturnTransactionObjectId.
        return_transaction_object_id: Option<Cow<'a, str>>,
        /// Explanation of the payment. Source: Explanation.
        explanation: Option<Cow<'a, str>>,
        /// Text on the statement. Source: ExtractExplanation.
        statement_text: Option<Cow<'a, str>>,
        /// The gateway's id of the answer; not part of the content hash. Source: Header.ObjectID of
        /// the answer.
        gateway_object_id: Option<Cow<'a, str>>,
    }
}
